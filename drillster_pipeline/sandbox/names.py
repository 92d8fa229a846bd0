"""The words of the organization: what people, groups and drills are called. Nobody in here exists."""

# ruff: noqa: RUF001 - the letters that real names are written in

from __future__ import annotations

ORGANIZATION = "Zorggroep De Linde"
DOMAIN = "zorggroepdelinde.example"
SERVICE_ACCOUNT = "Nightly export"
APPLICATION_MANAGER = "Functioneel beheer Leren & Ontwikkelen"

FIRST_NAMES = (
    "Noor", "Daan", "Sanne", "Lars", "Femke", "Bram", "Lotte", "Thijs", "Anouk", "Jeroen", "Marloes", "Ruben",
    "Ingrid", "Wouter", "Esther", "Pieter", "Hanneke", "Sjoerd", "Yvonne", "Maaike", "Joost", "Willemijn", "Tjitske",
    "Koen", "Fatima", "Mohammed", "Aylin", "Emre", "Samira", "Youssef", "Naima", "Ibrahim", "Priya", "Arjun", "Mei",
    "Wei", "Thảo", "Agnieszka", "Zoë", "Łukasz", "Oluwaseun", "Amara", "Kwame", "José", "María", "Chloé", "Björn",
    "Søren", "Anaïs", "Chaya", "ليلى", "דוד", "Ольга", "美咲", "Renée", "D'Angelo", "Siobhán", "Tomáš",
)  # fmt: skip
LAST_NAMES = (
    "de Vries", "Jansen", "van den Berg", "Bakker", "van Dijk", "Visser", "Smit", "Meijer", "de Boer", "Mulder",
    "de Groot", "Bos", "Vos", "Peters", "Hendriks", "van Leeuwen", "Dekker", "Brouwer", "de Wit", "Dijkstra",
    "van der Meer", "Hoekstra", "van 't Hof", "'t Hart", "Kok", "Prins", "Postma", "Yılmaz", "Demir", "El Amrani",
    "Bouzid", "Özdemir", "Nguyễn", "Kowalski", "Sharma", "Okafor", "Mensah", "García Pérez", "Lefèvre", "Sørensen",
    "Nowak", "Ali", "Haddad", "Cohen", "Иванова", "O'Brien", "Martina", "Pinas", "Tjon A Fat", "Wiśniewska",
)  # fmt: skip
LOCALES = ("nl", "nl", "nl", "nl", "nl_NL", "nl_BE", "en", "en_GB", "pl", "de")
OTHER_ORGANIZATIONS = (
    ("Uitzendbureau Zorgflex", "zorgflex.example"),
    ("Hogeschool Rijnland", "hsrijnland.example"),
    ("Ziekenhuis Sint Lucas", "sintlucas.example"),
    ('Thuiszorg "De Brug" B.V.', "debrug.example"),
)

LOCATIONS = (
    "De Linde", "Zonnehof", "Parkzicht", "Molenwiek", "Oosterpoort", "Rijnzicht", "'t Anker", "De Hoge Weide",
    "Sint-Elisabeth", "Buitenlust",
)  # fmt: skip
DEPARTMENTS = (
    "Geriatric ward", "Home care", "Dementia care", "Rehabilitation", "Emergency department", "Somatic care",
    "Day care", "Night team", "Small-scale living", "Crisis & respite", "Hospice", "Wijkverpleging",
)  # fmt: skip
CROSS_TEAMS = (
    "Reserved actions (voorbehouden handelingen)", "Medication safety: all nurses", "BHV – emergency response",
    "Infection prevention links", "New employees", "Practical trainers", "Wzd & restraint-free care",
    "Kitchen & hygiene",
    "Flexpool 💪", "فريق الرعاية (care team)", "Students BBL/BOL", "Team leaders",
)  # fmt: skip
PROJECTS = (
    "Pilot eMAR", "Introduction week", "Summer workers", "Refresher: insulin", "Vaccination campaign 💉",
    'Audit "HKZ" preparation', "Return to work", "Masterclass wound care",
)  # fmt: skip
RENAMINGS = ("{}", "{} (acute)", "{} + outreach", "Team {}", "{} – new style", "{} 🌿")

DRILLABLES = (
    "Medication safety", "Hand hygiene", "Reserved actions: injections", "Fall prevention", "Pressure ulcers",
    "Infection prevention 🧼", "Insulin & hypoglycaemia", "Dysphagia and choking", "Wound care", "Delirium",
    "Reserved actions: catheterisation", "Basic life support", "Lifting and transfers", "Palliative sedation",
    'Know your "high-risk" medicines', "Parkinson's disease", "Dementia: signs & behaviour",
    "Meldcode: domestic violence",
    "Restraint-free care (Wzd)", "Nutrition and hydration", "Oral care", "Stoma care", "Oxygen therapy", "Fire safety",
    "Aggression and de-escalation", "Privacy and the AVG", "Calculating dosages ½ ⅓", "Drug–drug interactions",
    "Sepsis: recognise, act", "SBAR handover", "Vital signs & NEWS2", "Pain scales", "Diabetes foot", "Heart failure",
    "COPD", "Stroke (CVA)", "Epilepsy", "Tube feeding", "Subcutaneous infusion", "Blood sampling",
    "Intravenous therapy", "Patient identification", "Incident reporting (VIM)", "Isolation measures",
    "Needle-stick injuries", "Communication with family", "النظافة الشخصية – personal hygiene", "Abbreviations A\\Z",
)  # fmt: skip
TESTS = (
    "Medication safety exam", "Reserved actions: theory", "Calculating dosages: exam", "BHV refresher test",
    "Infection prevention: final test", "Wzd knowledge test", "Meldcode e-learning test", "Hygiene & HACCP test",
)  # fmt: skip
CATALOGS = (
    ("Basic care", "What everybody in care should know."),
    ("Reserved actions", "Theory for skills that the law reserves (Wet BIG)."),
    ("Safety first", "Fire, aggression, privacy.\nRenewed every year."),
    ("Specialist nursing", 'For nurses who "go further".'),
)
GROUP_DESCRIPTIONS = (
    "All care workers of this team.",
    "Everyone who may do this work. Managed by the practical trainers.",
    "",
    "Temporary. Ask L&O 😊 for access.",
    'Line one\nLine two\twith a tab, and "quotes".',
)
