"""One person as Drillster describes them, and what an answer about them becomes in a mode."""

from __future__ import annotations

import json

from drillster_pipeline.privacy.pseudonymize import Privacy

KEY = "a long random text that nobody knows"
HIDING = ("pseudonymize", "drop")

NOOR = {
    "type": "USER",
    "id": "Qm3vX0sTTeG1rJ8nB5yL2w",
    "name": "Noor de Wit",
    "realName": "Noor Maria de Wit",
    "emailAddress": "Noor.deWit@example.org",
    "avatar": {"type": "image/jpeg", "url": "https://img.example/noor.jpg", "width": 64},
    "yearOfBirth": "1987",
    "description": "Nurse in the late shift",
    "biography": "Born in Hoorn",
    "locale": "nl",
    "timeZone": "Europe/Amsterdam",
    "domicile": "NL",
    "thirdPartyIds": [{"thirdParty": "HRCO", "id": "E10077"}],
    "status": "ACTIVE",
    "created": "2023-04-12T08:15:30Z",
    "lastLogin": "2025-05-02T06:41:00Z",
    "repertoireSize": 12,
    "organization": {"type": "ORGANIZATION", "id": "org", "name": "Ziekenhuis Oost", "locale": "nl"},
}


def masked(mode, body, resource="accounts", **options):
    return Privacy(mode, KEY, **options).apply(resource, body)


def text(body):
    return json.dumps(body, ensure_ascii=False)


def account(person, **more):
    return {"accounts": [{"account": person, "relationTypes": ["ACCOUNT"], **more}], "pagination": {"total": 1}}


def the_account(mode, person):
    return masked(mode, account(person))["accounts"][0]["account"]
