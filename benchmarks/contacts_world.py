"""Seeded contact records of about 1 KB, and a page server that hands them out over HTTP."""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson

SEED = 20261121
PAGE = 100
GIVEN = ["Ana", "Rui", "Marta", "João", "Carla", "Pedro", "Inês", "Luís", "Sofia", "Zoë", "Jürgen", "Liam"]
FAMILY = ["Souza", "Lima", "Dias", "Alves", "Costa", "Silva", "Rocha", "Reis", "Müller", "Okafor", "Novak"]
STAGES = ["subscriber", "lead", "marketingqualifiedlead", "opportunity", "customer"]
CITIES = ["São Paulo", "Santos", "Lisboa", "Porto", "Madrid", "Berlin", "Wien", "Genève"]


def contact(number: int) -> dict[str, Any]:
    """Return one contact-like object with 25 properties."""
    rng = random.Random(SEED * 1_000_003 + number)
    given, family = rng.choice(GIVEN), rng.choice(FAMILY)
    day = f"2026-{rng.randint(1, 11):02d}-{rng.randint(1, 28):02d}"
    stamp = f"{day}T{rng.randint(0, 23):02d}:{rng.randint(0, 59):02d}:00Z"
    properties = {
        "firstname": given,
        "lastname": family,
        "email": f"{given}.{family}.{number}@kunde{number % 5000}.example".lower()
        .encode("ascii", "ignore")
        .decode(),
        "hs_additional_emails": f"p{number}@mail.example" if rng.random() < 0.1 else None,
        "phone": f"+55 11 9{rng.randint(1000, 9999)}-{rng.randint(1000, 9999)}"
        if rng.random() < 0.8
        else None,
        "mobilephone": f"(21) 9{rng.randint(1000, 9999)}-{rng.randint(1000, 9999)}"
        if rng.random() < 0.3
        else None,
        "jobtitle": rng.choice(["Owner", "Buyer", "Chef", "CFO", None]),
        "company": f"Padaria {family} {number % 900}",
        "lifecyclestage": rng.choice(STAGES),
        "hs_lead_status": rng.choice(["NEW", "OPEN", "CONNECTED", None]),
        "hubspot_owner_id": str(rng.randint(1, 20)),
        "city": rng.choice(CITIES),
        "address": f"Rua {rng.randint(1, 999)}, {rng.randint(1, 99)}",
        "zip": f"{rng.randint(1000, 99999):05d}-{rng.randint(0, 999):03d}",
        "country": rng.choice(["BR", "PT", "ES", "DE"]),
        "hs_language": rng.choice(["pt-br", "pt", "es", "de", None]),
        "website": f"https://www.kunde{number % 5000}.example",
        "hs_analytics_source": rng.choice(["PAID_SOCIAL", "ORGANIC_SEARCH", "DIRECT_TRAFFIC"]),
        "hs_analytics_source_data_1": "Instagram",
        "hs_timezone": "america_slash_sao_paulo",
        "createdate": stamp,
        "lastmodifieddate": stamp,
        "notes_last_contacted": stamp,
        "num_associated_deals": str(rng.randint(0, 4)),
        "about": "x" * rng.randint(40, 120),
    }
    return {
        "id": str(1000 + number),
        "properties": properties,
        "createdAt": stamp,
        "updatedAt": stamp,
        "archived": False,
    }


def contacts(count: int) -> Iterator[dict[str, Any]]:
    """Yield `count` contacts, the same ones each time."""
    for number in range(count):
        yield contact(number)


def serve(count: int, size: int = PAGE) -> ThreadingHTTPServer:
    """Return a server on a free loopback port: GET /contacts?after=N gives a page of `size`."""
    found = [orjson.dumps(one) for one in contacts(count)]
    pages = {}
    for start in range(0, max(count, 1), size):
        body = b'{"results":[' + b",".join(found[start : start + size]) + b"]"
        after = start + size
        body += b',"paging":{"next":{"after":"%d"}}}' % after if after < count else b"}"
        pages[start] = body

    class Pages(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = 1 << 20

        def do_GET(self) -> None:
            query = parse_qs(urlsplit(self.path).query)
            body = pages.get(int(query.get("after", ["0"])[0]), b'{"results":[]}')
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            pass

    return ThreadingHTTPServer(("127.0.0.1", 0), Pages)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", type=int)
    parser.add_argument("--size", type=int, default=PAGE)
    arguments = parser.parse_args()
    server = serve(arguments.count, arguments.size)
    print(server.server_port, flush=True)
    server.serve_forever()
