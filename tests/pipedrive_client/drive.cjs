"use strict";
// Drives two stand-ins of Pipedrive with Pipedrive's own client: `free`, and `busy`, which takes two calls.
// Prints one line of JSON for each call: its name, what the client returned or threw, the reply's status and headers.

const axios = require("axios");
const { v1, v2 } = require("pipedrive");

const [free, busy, token] = process.argv.slice(2);
let reply = {};

function observe(body, headers, status) {
  reply = { status, headers: headers.toJSON() };
  return body;
}

function client(site, credentials) {
  const configured = (version, path) => {
    const configuration = new version.Configuration({ ...credentials, basePath: site + path });
    configuration.baseOptions = { transformResponse: [].concat(axios.defaults.transformResponse, observe) };
    return (name) => new version[name](configuration);
  };
  return { one: configured(v1, "/v1"), two: configured(v2, "/api/v2") };
}

async function step(name, call) {
  reply = {};
  let returned = null;
  let thrown = null;
  try {
    returned = await call();
  } catch (error) {
    thrown = error instanceof Error ? { raised: error.message } : error;
  }
  process.stdout.write(`${JSON.stringify({ name, returned, thrown, ...reply })}\n`);
  return returned && returned.data;
}

async function settings({ one, two }) {
  await step("users: me", () => one("UsersApi").getCurrentUser());
  const users = await step("users: list", () => one("UsersApi").getUsers());
  await step("users: read", () => one("UsersApi").getUser({ id: users[0].id }));
  const pipelines = await step("pipelines: list", () => two("PipelinesApi").getPipelines());
  await step("pipelines: read", () => two("PipelinesApi").getPipeline({ id: pipelines[0].id }));
  const stages = await step("stages: list", () => two("StagesApi").getStages({ pipeline_id: pipelines[0].id }));
  await step("stages: read", () => two("StagesApi").getStage({ id: stages[1].id }));
  const type = await step("activity types: create", () =>
    one("ActivityTypesApi").addActivityType({ AddActivityTypeRequest: { name: "WhatsApp", icon_key: "bubble" } }),
  );
  await step("activity types: list", () => one("ActivityTypesApi").getActivityTypes());
  const fields = {};
  for (const [owner, title] of [["person", "Person"], ["organization", "Organization"], ["deal", "Deal"]]) {
    const api = two(`${title}FieldsApi`);
    const request = { field_name: "Size", field_type: "enum", options: [{ label: "S" }, { label: "L" }] };
    const made = await step(`${owner} fields: create`, () =>
      api[`add${title}Field`]({ [`Add${title}FieldRequest`]: request }),
    );
    await step(`${owner} fields: read`, () => api[`get${title}Field`]({ field_code: made.field_code }));
    await step(`${owner} fields: list`, () => api[`get${title}Fields`]({ limit: 500 }));
    fields[owner] = { code: made.field_code, large: made.options[1].id };
  }
  return { me: users[0].id, stage: stages[1].id, type: type.key_string, fields };
}

async function contacts({ two }, { me, fields }) {
  const organizations = two("OrganizationsApi");
  const persons = two("PersonsApi");
  const org = await step("organizations: create", () =>
    organizations.addOrganization({ AddOrganizationRequest: { name: "Padaria Lima", owner_id: me } }),
  );
  await step("organizations: read", () => organizations.getOrganization({ id: org.id }));
  await step("organizations: update", () =>
    organizations.updateOrganization({
      id: org.id,
      UpdateOrganizationRequest: { website: "https://lima.example", address: { value: "Rua A, 1" } },
    }),
  );
  await step("organizations: list", () => organizations.getOrganizations({ ids: String(org.id) }));
  await step("organizations: search", () => organizations.searchOrganization({ term: "lima" }));
  const ana = await step("persons: create", () =>
    persons.addPerson({
      AddPersonRequest: {
        name: "Ana Souza",
        org_id: org.id,
        emails: [{ value: "ana@example.com", primary: true, label: "work" }],
        phones: [{ value: "+55 11 97391-4862", primary: true, label: "mobile" }],
        custom_fields: { [fields.person.code]: fields.person.large },
      },
    }),
  );
  await step("persons: read", () =>
    persons.getPerson({ id: ana.id, custom_fields: fields.person.code, include_option_labels: true }),
  );
  await step("persons: update", () =>
    persons.updatePerson({ id: ana.id, UpdatePersonRequest: { name: "Ana Souza Lima", phones: [] } }),
  );
  await step("persons: search", () =>
    persons.searchPersons({ term: "ana@example.com", fields: "email", exact_match: true }),
  );
  const twin = await step("persons: create a twin", () =>
    persons.addPerson({ AddPersonRequest: { name: "Ana", add_time: "2025-01-01T00:00:00Z" } }),
  );
  const third = await step("persons: create a third", () => persons.addPerson({ AddPersonRequest: { name: "Bo" } }));
  await step("persons: pages", async () => {
    const data = [];
    let cursor;
    do {
      const page = await persons.getPersons({ limit: 2, cursor, sort_by: "id", sort_direction: "desc" });
      data.push(page.data.map((person) => person.name));
      cursor = page.additional_data.next_cursor;
    } while (cursor);
    return { success: true, data };
  });
  return { org: org.id, ana: ana.id, twin: twin.id, third: third.id };
}

async function deals({ one, two }, { stage, fields }, { org, ana }) {
  const api = two("DealsApi");
  const deal = await step("deals: create", () =>
    api.addDeal({
      AddDealRequest: {
        title: "Dois fornos",
        person_id: ana,
        org_id: org,
        value: 18400.5,
        currency: "BRL",
        custom_fields: { [fields.deal.code]: fields.deal.large },
      },
    }),
  );
  await step("deals: change the stage", () => api.updateDeal({ id: deal.id, UpdateDealRequest: { stage_id: stage } }));
  await step("deals: win", () => api.updateDeal({ id: deal.id, UpdateDealRequest: { status: "won" } }));
  await step("deals: read", () => api.getDeal({ id: deal.id }));
  await step("deals: list the won", () => api.getDeals({ person_id: ana, status: "won" }));
  await step("deals: search", () => api.searchDeals({ term: "fornos", person_id: ana }));
  const other = await step("deals: create another", () => api.addDeal({ AddDealRequest: { title: "Forno" } }));
  await step("deals: archive", () => api.updateDeal({ id: other.id, UpdateDealRequest: { is_archived: true } }));
  await step("deals: list the archived", () => api.getArchivedDeals());
  const leads = one("LeadsApi");
  const lead = await step("leads: create", () =>
    leads.addLead({
      AddLeadRequest: { title: "Forno turbo", person_id: ana, value: { amount: 900, currency: "BRL" } },
    }),
  );
  await step("leads: read", () => leads.getLead({ id: lead.id }));
  await step("leads: search", () => two("LeadsApi").searchLeads({ term: "turbo" }));
  await step("leads: list", () => leads.getLeads({ person_id: ana, sort: "title" }));
  await step("leads: archive", () => leads.updateLead({ id: lead.id, UpdateLeadRequest: { is_archived: true } }));
  await step("leads: list the archived", () => leads.getArchivedLeads({ limit: 1 }));
  return { deal: deal.id, other: other.id, lead: lead.id };
}

async function entries({ one, two }, { type }, { ana, twin, third }, { deal, lead }) {
  const activities = two("ActivitiesApi");
  const activity = await step("activities: create", () =>
    activities.addActivity({
      AddActivityRequest: {
        subject: "WhatsApp, Wed 18 Nov",
        type,
        deal_id: deal,
        due_date: "2026-11-18",
        due_time: "14:02",
        duration: "00:05",
        done: true,
        participants: [{ person_id: twin }, { person_id: ana, primary: true }],
        note: "14:02 Ana: Oi!<br>",
      },
    }),
  );
  await step("activities: update", () =>
    activities.updateActivity({
      id: activity.id,
      AddActivityRequest: { done: false, participants: [{ person_id: twin, primary: true }] },
    }),
  );
  await step("activities: read", () =>
    activities.getActivity({ id: activity.id, include_fields: "attendees" }),
  );
  await step("activities: list those to do", () => activities.getActivities({ person_id: twin, done: false }));
  await step("activities: delete", () => activities.deleteActivity({ id: activity.id }));
  await step("activities: read the deleted", () => activities.getActivity({ id: activity.id }));
  const notes = one("NotesApi");
  const note = await step("notes: create", () =>
    notes.addNote({ AddNoteRequest: { content: "<b>Oi</b>", person_id: ana, pinned_to_person_flag: 1 } }),
  );
  await step("notes: move", () => notes.updateNote({ id: note.id, NoteRequest: { person_id: third } }));
  await step("notes: pin", () =>
    notes.updateNote({ id: note.id, NoteRequest: { deal_id: deal, pinned_to_deal_flag: 1 } }),
  );
  await step("notes: create one on a lead", () =>
    notes.addNote({ AddNoteRequest: { content: "Oi", lead_id: lead, add_time: "2026-11-18 17:02:00" } }),
  );
  await step("notes: list the pinned", () => notes.getNotes({ pinned_to_deal_flag: 1 }));
  await step("notes: list those of a day", () =>
    notes.getNotes({ start_date: new Date("2026-11-18T12:00:00Z"), end_date: "2026-11-18" }),
  );
  await step("notes: list those changed since", () =>
    notes.getNotes({ updated_since: new Date("2026-11-20T00:00:00Z"), sort: "add_time DESC", limit: 1 }),
  );
  await step("notes: delete", () => notes.deleteNote({ id: note.id }));
  await step("notes: read the deleted", () => notes.getNote({ id: note.id }));
}

async function searches({ two }) {
  const api = two("ItemSearchApi");
  await step("items: search", () => api.searchItem({ term: "ana", item_types: "person", fields: "name", limit: 10 }));
  await step("items: search a field", () =>
    api.searchItemByField({ term: "Ana", entity_type: "person", field: "name", match: "beginning" }),
  );
}

async function mails({ one, two }) {
  const zoe = (await two("PersonsApi").searchPersons({ term: "zoe@example.com" })).data.items[0].item.id;
  const found = await step("mails: list", () =>
    one("PersonsApi").getPersonMailMessages({ id: zoe, include_body: 1 }),
  );
  await step("mails: read", () => one("MailboxApi").getMailMessage({ id: found[0].data.id, include_body: 1 }));
}

async function past({ one, two }, { org, ana, twin, third }, { deal, other, lead }) {
  const spare = await two("OrganizationsApi").addOrganization({ AddOrganizationRequest: { name: "Padaria" } });
  for (const [kind, title, kept, twice, gone] of [
    ["persons", "Person", ana, twin, third],
    ["organizations", "Organization", org, spare.data.id, org],
    ["deals", "Deal", deal, other, deal],
  ]) {
    const old = one(`${title}sApi`);
    const current = two(`${title}sApi`);
    await step(`${kind}: changelog`, () => old[`get${title}Changelog`]({ id: kept, limit: 1 }));
    await step(`${kind}: flow`, () => old[`get${title}Updates`]({ id: kept, items: "change", limit: 1 }));
    await step(`${kind}: merge`, () =>
      old[`merge${title}s`]({ id: twice, [`Merge${title}sRequest`]: { merge_with_id: kept } }),
    );
    await step(`${kind}: read the merged`, () => current[`get${title}`]({ id: twice }));
    await step(`${kind}: delete`, () => current[`delete${title}`]({ id: gone }));
  }
  await step("leads: delete", () => one("LeadsApi").deleteLead({ id: lead }));
  await step("refused: a lead that is gone", () => one("LeadsApi").getLead({ id: lead }));
}

async function webhooks({ one }) {
  const api = one("WebhooksApi");
  const request = {
    subscription_url: "https://bridge.example/hooks/crm",
    event_action: "*",
    event_object: "person",
    name: "crmbridge",
    version: "2.0",
    http_auth_user: "crmbridge",
    http_auth_password: "secret",
  };
  const made = await step("webhooks: create", () => api.addWebhook({ AddWebhookRequest: request }));
  await step("webhooks: list", () => api.getWebhooks());
  await step("webhooks: delete", () => api.deleteWebhook({ id: made.id }));
  await step("refused: a webhook that is gone", () => api.deleteWebhook({ id: made.id }));
  await step("refused: a webhook to nowhere", () =>
    api.addWebhook({ AddWebhookRequest: { ...request, subscription_url: "nowhere" } }),
  );
}

async function refusals({ one, two }, { ana }) {
  const persons = two("PersonsApi");
  await step("refused: a person without a name", () => persons.addPerson({ AddPersonRequest: {} }));
  await step("refused: a parameter that is unknown", () =>
    persons.addPerson({ AddPersonRequest: { name: "Bo", email: "bo@example.com" } }),
  );
  await step("refused: nobody's id", () => persons.getPerson({ id: 999999 }));
  await step("refused: a term too short", () => persons.searchPersons({ term: "a" }));
  await step("refused: a cursor of nobody's", () => persons.getPersons({ cursor: "nonsense" }));
  await step("refused: a note on nothing", () => one("NotesApi").addNote({ AddNoteRequest: { content: "Oi" } }));
  await step("refused: an activity's own person", () =>
    two("ActivitiesApi").addActivity({ AddActivityRequest: { subject: "Call", person_id: ana } }),
  );
  await step("refused: a wrong token", () => client(free, { apiKey: "wrong" }).two("PersonsApi").getPersons());
  await step("refused: a wrong token of version 1", () =>
    client(free, { apiKey: "wrong" }).one("UsersApi").getCurrentUser(),
  );
  const app = client(free, { accessToken: token });
  await step("persons: read as an app", () => app.two("PersonsApi").getPerson({ id: ana }));
  await step("refused: a scope the app lacks", () => app.one("WebhooksApi").getWebhooks());
  const hurried = client(busy, { apiKey: token });
  const stages = () => hurried.two("StagesApi").getStages();
  await step("stages: list once", stages);
  await step("stages: list twice", stages);
  await step("refused: too many calls", stages);
  await step("refused: far too many calls", stages);
}

async function drive() {
  const crm = client(free, { apiKey: token });
  const company = await settings(crm);
  const people = await contacts(crm, company);
  const sales = await deals(crm, company, people);
  await entries(crm, company, people, sales);
  await searches(crm);
  await mails(crm);
  await webhooks(crm);
  await refusals(crm, people);
  await past(crm, people, sales);
}

drive().catch((error) => {
  process.stderr.write(`${error.stack ?? JSON.stringify(error)}\n`);
  process.exitCode = 1;
});
