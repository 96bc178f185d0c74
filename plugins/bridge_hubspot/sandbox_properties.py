"""The default properties of each object type of HubSpot, as far as a connector reads or writes them."""

from __future__ import annotations

from bridge_hubspot.sandbox_catalog import KINDS, LIFECYCLE, Property

# One property a line: name, kind of value, label, [options]. A `!` after the kind makes it read-only.
_EVERYWHERE = """
hs_object_id number! Record ID
hs_object_source text! Record source
hs_object_source_id text! Record source detail
hs_object_source_label text! Record source label
hs_merged_object_ids text! Merged record IDs
hs_unique_creation_key text! Unique creation key
hs_created_by_user_id number! Created by user ID
hs_updated_by_user_id number! Updated by user ID
hubspot_owner_id owner Owner
"""

_ENGAGEMENT = """
hs_createdate datetime! Create date
hs_lastmodifieddate datetime! Last modified date
hs_timestamp datetime Activity date
hs_body_preview text! Body preview
hs_attachment_ids text Attached file IDs
hs_engagement_source text Engagement source
hs_engagement_source_id text Engagement source ID
"""

_OWN = {
    "contacts": """
createdate datetime! Create date
lastmodifieddate datetime! Last modified date
email email Email
hs_additional_emails text Additional email addresses
hs_email_domain text! Email domain
firstname text First name
lastname text Last name
salutation text Salutation
jobtitle text Job title
company text Company name
website text Website URL
phone phone Phone number
mobilephone phone Mobile phone number
hs_whatsapp_phone_number phone WhatsApp phone number
hs_searchable_calculated_phone_number text! Searchable phone number
hs_searchable_calculated_mobile_number text! Searchable mobile number
address text Street address
city text City
state text State/Region
zip text Postal code
country text Country/Region
hs_language select Preferred language [en pt es de fr it]
hs_timezone text Time zone
lifecyclestage select Lifecycle stage [@lifecycle]
hs_lead_status select Lead status [@leads]
message area Message
hs_linkedin_url text LinkedIn URL
twitterhandle text Twitter username
associatedcompanyid number! Primary associated company ID
notes_last_updated datetime! Last activity date
hs_email_optout bool Unsubscribed from all email
hs_analytics_source select! Original traffic source [@sources]
hs_analytics_source_data_1 text! Original traffic source drill-down 1
hs_analytics_source_data_2 text! Original traffic source drill-down 2
hs_analytics_first_url text! First page seen
hs_analytics_first_referrer text! First referring site
hs_latest_source select! Latest traffic source [@sources]
hs_latest_source_data_1 text! Latest traffic source drill-down 1
hs_latest_source_data_2 text! Latest traffic source drill-down 2
hs_google_click_id text! Google ad click id
hs_facebook_click_id text! Facebook click id
first_conversion_event_name text! First conversion
recent_conversion_event_name text! Recent conversion
hs_calculated_merged_vids text! Merged vids
""",
    "companies": """
createdate datetime! Create date
hs_lastmodifieddate datetime! Last modified date
name text Company name
domain text Company domain name
hs_additional_domains text Additional domains
website text Website URL
industry select Industry [@industries]
phone phone Phone number
address text Street address
city text City
state text State/Region
zip text Postal code
country text Country/Region
notes_last_updated datetime! Last activity date
description area Description
lifecyclestage select Lifecycle stage [@lifecycle]
numberofemployees number Number of employees
annualrevenue number Annual revenue
type select Type [PROSPECT PARTNER RESELLER VENDOR OTHER]
""",
    "deals": """
createdate datetime Create date
hs_createdate datetime! Object create date
hs_lastmodifieddate datetime! Last modified date
dealname text Deal name
amount number Amount
deal_currency_code text Currency
pipeline pipeline Pipeline
dealstage stage Deal stage
closedate datetime Close date
dealtype select Deal type [newbusiness existingbusiness]
description area Deal description
notes_last_updated datetime! Last activity date
hs_priority select Priority [low medium high]
hs_next_step text Next step
hs_is_closed bool! Is deal closed?
hs_is_closed_won bool! Is closed won
hs_deal_stage_probability number! Deal probability
hs_closed_won_date datetime! Closed won date
closed_lost_reason area Closed lost reason
closed_won_reason area Closed won reason
hs_analytics_source text! Original source type
""",
    "communications": """
hs_communication_channel_type select Channel type [WHATS_APP SMS LINKEDIN_MESSAGE]
hs_communication_logged_from select Logged from [CRM]
hs_communication_body html Body
""",
    "emails": """
hs_email_direction select Email direction [EMAIL INCOMING_EMAIL FORWARDED_EMAIL]
hs_email_status select Email send status [BOUNCED FAILED SCHEDULED SENDING SENT]
hs_email_subject text Email subject
hs_email_text area Email body
hs_email_html html Email body (HTML)
hs_email_headers area Email headers
hs_email_from_email text! Email from address
hs_email_from_firstname text! Email from first name
hs_email_from_lastname text! Email from last name
hs_email_sender_email text! Email sender address
hs_email_to_email text! Email to address
hs_email_to_firstname text! Email to first name
hs_email_to_lastname text! Email to last name
hs_email_cc_email text! Email cc address
hs_email_bcc_email text! Email bcc address
hs_email_message_id text! Email message ID
hs_email_thread_id text! Email thread ID
hs_email_logged_from text! Email logged from
hs_incoming_email_is_out_of_office bool! Is an out-of-office reply
""",
    "calls": """
hs_call_title text Call title
hs_call_body html Call notes
hs_call_direction select Call direction [INBOUND OUTBOUND]
hs_call_duration number Call duration
hs_call_from_number text From number
hs_call_to_number text To number
hs_call_status select Call status [@calls]
hs_call_disposition text Call outcome
hs_call_recording_url text Recording URL
hs_call_has_voicemail bool Has voicemail
hs_call_source text Call source
hs_activity_type text Call and meeting type
""",
    "notes": """
hs_note_body html Note body
""",
    "meetings": """
hs_meeting_title text Meeting name
hs_meeting_body html Meeting description
hs_internal_meeting_notes html Internal meeting notes
hs_meeting_start_time datetime Meeting start time
hs_meeting_end_time datetime Meeting end time
hs_meeting_location text Location
hs_meeting_external_url text External URL
hs_meeting_outcome select Meeting outcome [SCHEDULED COMPLETED RESCHEDULED NO_SHOW CANCELED]
hs_activity_type text Call and meeting type
""",
    "tasks": """
hs_task_subject text Task title
hs_task_body html Task notes
hs_task_status select Task status [NOT_STARTED IN_PROGRESS WAITING DEFERRED COMPLETED]
hs_task_priority select Priority [NONE LOW MEDIUM HIGH]
hs_task_type select Task type [TODO EMAIL CALL]
hs_task_completion_date datetime! Completed at
hs_task_reminders text Reminders
""",
}

_OPTIONS = {
    "@sources": "ORGANIC_SEARCH PAID_SEARCH EMAIL_MARKETING SOCIAL_MEDIA REFERRALS OTHER_CAMPAIGNS "
    "DIRECT_TRAFFIC OFFLINE PAID_SOCIAL",
    "@lifecycle": " ".join(LIFECYCLE),
    "@leads": "NEW OPEN IN_PROGRESS OPEN_DEAL UNQUALIFIED ATTEMPTED_TO_CONTACT CONNECTED BAD_TIMING",
    "@industries": "COMPUTER_SOFTWARE CONSTRUCTION FOOD_BEVERAGES MANUFACTURING RESTAURANTS RETAIL WHOLESALE",
    "@calls": "BUSY CALLING_CRM_USER CANCELED COMPLETED CONNECTING FAILED IN_PROGRESS MISSED NO_ANSWER "
    "QUEUED RINGING",
}

# What the second word of a line stands for: HubSpot's type and fieldType.
_TYPES = {
    "text": ("string", "text"),
    "area": ("string", "textarea"),
    "html": ("string", "html"),
    "email": ("string", "text"),
    "phone": ("string", "phonenumber"),
    "number": ("number", "number"),
    "datetime": ("datetime", "date"),
    "bool": ("bool", "booleancheckbox"),
    "select": ("enumeration", "select"),
    "owner": ("enumeration", "select"),
    "pipeline": ("enumeration", "select"),
    "stage": ("enumeration", "radio"),
}
_REFERENCES = {"owner": "OWNER", "pipeline": "PIPELINE", "stage": "STAGE", "email": "EMAIL"}


def _parse(line: str, group: str) -> Property:
    head, _, listed = line.partition("[")
    listed = listed.rstrip("]")
    name, word, label = head.strip().split(" ", 2)
    kind = word.removesuffix("!")
    type_, field_type = _TYPES[kind]
    return Property(
        name=name,
        label=label.strip(),
        type=type_,
        field_type=field_type,
        group=group,
        options=tuple(
            (value, value.replace("_", " ").capitalize()) for value in _OPTIONS.get(listed, listed).split()
        ),
        read_only=word.endswith("!"),
        refers_to=_REFERENCES.get(kind, ""),
    )


GROUPS: dict[str, tuple[str, str]] = {
    kind.name: (
        "engagement" if kind.engagement else f"{kind.singular}information",
        f"{kind.singular.capitalize()} information",
    )
    for kind in KINDS
}
"""Object type -> name and label of the group that holds its default properties."""

PROPERTIES: dict[str, tuple[Property, ...]] = {
    kind.name: tuple(
        _parse(line, GROUPS[kind.name][0])
        for line in (_EVERYWHERE + (_ENGAGEMENT if kind.engagement else "") + _OWN[kind.name]).splitlines()
        if line
    )
    for kind in KINDS
}
"""Object type -> its default properties."""
