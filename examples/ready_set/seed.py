# Copyright (c) 2026 pgops.supabase contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fill a Ready Set project with invented rows: the same rows for the same arguments, on every machine.

The connection is a libpq URI in the environment variable PGOPS_SEED_URI, so that no password stands in a process list.
Everything is one transaction; a project that has profiles already is left as it is.
"""

from __future__ import annotations

import argparse
import csv
import datetime as dt
import io
import json
import os
import random
import time
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg2
from psycopg2 import sql

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection
    from psycopg2.extensions import cursor as Cursor

URI_VARIABLE = "PGOPS_SEED_URI"
DEFAULT_ROWS = {"dev": 20_000, "prod": 100_000}
SHARES = {
    "profiles": 0.09,  # and as many accounts in auth.users
    "addresses": 0.20,
    "catering_requests": 0.22,
    "on_demand_requests": 0.09,
    "job_applications": 0.03,
    "file_uploads": 0.14,
    "dispatches": 0.14,
}
FEWEST_PROFILES = 20

# "Today" of the invented world: a fixed day before the bridge migrations, never the clock's.
TODAY = dt.datetime(2025, 10, 1, 12, 0, tzinfo=dt.timezone.utc)

# Numbers typed in before the form checked them. Only production is old enough to have these; no rule can read them.
LEGACY_NUMBERS = (
    "415-555-0143 ext. 12",
    "(628) 555-0119 x4",
    "1-800-555-FOOD",
    "ask at the front desk",
    "555-0178",
    "415 555 0101 / 415 555 0102",
    "+1 415 555 01O7",
)
NUMBER_SHAPES = ("({a}) 555-{n}", "{a}-555-{n}", "{a}.555.{n}", "+1{a}555{n}", "+1 {a} 555 {n}", "1-{a}-555-{n}")
AREAS = ("212", "305", "415", "512", "617", "628", "702", "808")

SYLLABLES = "ba cé da él fi gø hu ía jo ka lü ma ñu ór pa qui ra šo ta ul və wy xi yo zā çe 美 ям".split()
STREETS = ("Street", "Avenue", "Lane", "Way", "Plaza", "Straße", "Rúa")
KITCHENS = ("Kitchen", "Catering", "& Daughters", "Table", "Ovens", "Cantina")
STATES = ("CA", "NY", "TX", "WA", "MA", "NV", "HI")
NOTES = (
    None,
    None,
    "Ring twice.",
    'Gate code is "0000"; it\'s on the left',
    "Two lines:\nloading dock,\tthen lift",
    "C:\\menus\\größe.pdf",
    "Allergie: Nüsse 🥜",
)
SKILLS = ("driving", "hosting", "latte art", 'knife "skills"', "español", "lifting, heavy")
POSITIONS = ("Driver", "Virtual Assistant", "Catering Host")
FILES = (("menu", "application/pdf"), ("photo", "image/jpeg"), ("licence", "image/png"), ("résumé", "application/pdf"))
STATUSES = ("PENDING", "CONFIRMED", "IN_PROGRESS", "DELIVERED", "DELIVERED", "DELIVERED", "CANCELLED")

Row = Sequence[object]


@dataclass(frozen=True)
class Profile:
    """One invented account; what the other tables need to know of it."""

    id: str
    type: str
    created: dt.datetime


@dataclass(frozen=True)
class Order:
    """One invented request; what dispatches and uploads need to know of it."""

    id: str
    owner: str
    created: dt.datetime


class Inventor:
    """Draws values from one seeded source. Equal arguments give equal values in equal order."""

    def __init__(self, seed: int, profile: str) -> None:
        self.random = random.Random(f"{seed}:{profile}")

    def id(self) -> str:
        return str(uuid.UUID(int=self.random.getrandbits(128), version=4))

    def chance(self, probability: float) -> bool:
        return self.random.random() < probability

    def word(self) -> str:
        return "".join(self.random.choices(SYLLABLES, k=self.random.randint(2, 3))).capitalize()

    def moment(self, earliest: dt.datetime | None = None) -> dt.datetime:
        """A moment before TODAY, at most three years ago and not before ``earliest``."""
        start = earliest or TODAY - dt.timedelta(days=3 * 365)
        return start + (TODAY - start) * self.random.random()

    def money(self, most: int) -> str:
        return f"{self.random.randint(0, most * 100) / 100:.2f}"

    def contact_number(self) -> str | None:
        if self.chance(0.05):
            return None
        number = f"01{self.random.randint(0, 99):02d}"  # 555-0100 to 555-0199 are reserved for fiction
        return self.random.choice(NUMBER_SHAPES).format(a=self.random.choice(AREAS), n=number)


def table_sizes(rows: int) -> dict[str, int]:
    """How many rows each table gets when all of them, auth.users included, shall have about ``rows``."""
    sizes = {table: max(1, round(rows * share)) for table, share in SHARES.items()}
    sizes["profiles"] = max(FEWEST_PROFILES, sizes["profiles"])
    return sizes


def copy_rows(cursor: Cursor, table: sql.Identifier, columns: Sequence[str], rows: Iterable[Row]) -> None:
    """COPY ``rows`` into ``table``; every row has a value for each of ``columns``, in their order.

    CSV cannot tell null from an empty text: here it is null, and nothing invented is an empty text.
    """
    lines = io.StringIO()
    csv.writer(lines, lineterminator="\n").writerows(rows)
    lines.seek(0)
    names = sql.SQL(", ").join(map(sql.Identifier, columns))
    cursor.copy_expert(sql.SQL("copy {} ({}) from stdin with (format csv)").format(table, names), lines)


def seed_profiles(cursor: Cursor, invent: Inventor, count: int, legacy: Sequence[str]) -> list[Profile]:
    """Make accounts, let the application's own trigger make their profiles, then fill those in."""
    types = ["SUPER_ADMIN", "ADMIN", "HELPDESK", "VENDOR", "DRIVER", "CLIENT"]
    legacy_at = {(index + 1) * count // (len(legacy) + 1): number for index, number in enumerate(legacy)}
    profiles: list[Profile] = []
    accounts: list[Row] = []
    details: list[Row] = []
    for index in range(count):
        kind = types[index] if index < len(types) else invent.random.choices(types, (0, 1, 2, 12, 15, 70))[0]
        profile = Profile(invent.id(), kind, invent.moment())
        name = f"{invent.word()} {invent.word()}"
        number = legacy_at.get(index, invent.contact_number())
        company = (
            f"{invent.word()} {invent.random.choice(KITCHENS)}" if kind == "VENDOR" or invent.chance(0.3) else None
        )
        # The first ones are the staff that a demonstration logs in with: they stay.
        deleted = invent.moment(profile.created) if index >= len(types) and invent.chance(0.03) else None
        status = "DELETED" if deleted else invent.random.choices(("ACTIVE", "PENDING", "SUSPENDED"), (90, 8, 2))[0]
        meta = json.dumps({"type": kind, "contactName": name, "contactNumber": number}, ensure_ascii=False)
        email = f"{kind.lower().replace('_', '.')}.{index}@example.com"
        accounts.append((profile.id, email, meta, profile.created, profile.created))
        updated = deleted or invent.moment(profile.created)
        details.append((profile.id, kind, status, name, number, company, profile.created, updated, deleted))
        profiles.append(profile)

    account_columns = ("id", "email", "raw_user_meta_data", "created_at", "updated_at")
    copy_rows(cursor, sql.Identifier("auth", "users"), account_columns, accounts)
    columns = "id type status contactName contactNumber companyName createdAt updatedAt deletedAt".split()
    names = sql.SQL(", ").join(map(sql.Identifier, columns))
    staging = sql.Identifier("seed_profiles")
    cursor.execute(
        sql.SQL("create temporary table {} on commit drop as select {} from public.profiles with no data").format(
            staging, names
        )
    )
    copy_rows(cursor, staging, columns, details)
    assignments = sql.SQL(", ").join(sql.SQL("{0} = s.{0}").format(sql.Identifier(name)) for name in columns[1:])
    cursor.execute(
        sql.SQL("update public.profiles p set {} from {} s where s.id = p.id").format(assignments, staging),
    )
    return profiles


def seed_addresses(cursor: Cursor, invent: Inventor, count: int, profiles: Sequence[Profile]) -> list[str]:
    columns = (
        "id createdBy label street1 street2 city state zip latitude longitude isRestaurant isShared "
        "createdAt updatedAt"
    ).split()
    cities = [(f"{invent.word()} {invent.word()}", state) for state in STATES for dummy in range(12)]
    rows: list[Row] = []
    for dummy in range(count):
        owner = invent.random.choice(profiles)
        city, state = invent.random.choice(cities)
        created = invent.moment(owner.created)
        rows.append(
            (
                invent.id(),
                None if invent.chance(0.02) else owner.id,
                invent.random.choice(("Office", "Home", "Oficina", None)),
                f"{invent.random.randint(1, 9999)} {invent.word()} {invent.random.choice(STREETS)}",
                f"Suite {invent.random.randint(1, 99)}" if invent.chance(0.3) else None,
                city,
                state,
                f"{invent.random.randint(501, 99950):05d}",
                f"{invent.random.uniform(20, 48):.6f}",
                f"{invent.random.uniform(-157, -70):.6f}",
                owner.type == "VENDOR",
                invent.chance(0.1),
                created,
                created,
            )
        )
    copy_rows(cursor, sql.Identifier("public", "addresses"), columns, rows)
    return [str(row[0]) for row in rows]


def seed_requests(
    cursor: Cursor, invent: Inventor, table: str, count: int, profiles: Sequence[Profile], addresses: Sequence[str]
) -> list[Order]:
    """Fill catering_requests or on_demand_requests, which differ in four columns."""
    catering = table == "catering_requests"
    own = "headcount needHost hoursNeeded specialNotes arrivalAt tipAmount"
    columns = (
        "id orderNumber userId pickupAddressId deliveryAddressId status orderTotal pickupAt createdAt "
        "updatedAt deletedAt"
    ).split()
    columns += (own if catering else "vehicleType itemDescription weightKg").split()
    prefix = "CAT" if catering else "OND"
    orders: list[Order] = []
    rows: list[Row] = []
    for index in range(count):
        owner = invent.random.choice(profiles)
        order = Order(invent.id(), owner.id, invent.moment(owner.created))
        pickup = order.created + dt.timedelta(hours=invent.random.randint(4, 400))
        changed = invent.moment(order.created)
        common: tuple[object, ...] = (
            order.id,
            f"{prefix}-{order.created:%y%m}-{index:06d}",
            owner.id,
            invent.random.choice(addresses),
            invent.random.choice(addresses),
            invent.random.choice(STATUSES),
            invent.money(4000 if catering else 200),
            pickup,
            order.created,
            changed,
            changed if invent.chance(0.01) else None,
        )
        if catering:
            hours = invent.random.randint(2, 16) / 2 if invent.chance(0.2) else None
            arrival = pickup + dt.timedelta(minutes=invent.random.randint(10, 180))
            note = invent.random.choice(NOTES)
            common += (invent.random.randint(4, 400), hours is not None, hours, note, arrival, invent.money(300))
        else:
            vehicle = invent.random.choice(("CAR", "CAR", "VAN", "TRUCK"))
            common += (vehicle, f"{invent.word()}, boxed", f"{invent.random.randint(1, 90_000) / 1000:.3f}")
        orders.append(order)
        rows.append(common)
    copy_rows(cursor, sql.Identifier("public", table), columns, rows)
    return orders


def seed_job_applications(cursor: Cursor, invent: Inventor, count: int, profiles: Sequence[Profile]) -> list[str]:
    columns = "id profileId firstName lastName email phone position skills answers status createdAt updatedAt".split()
    drivers = [profile for profile in profiles if profile.type == "DRIVER"]
    rows: list[Row] = []
    for index in range(count):
        applicant = invent.random.choice(drivers) if invent.chance(0.4) else None
        skills = invent.random.sample(SKILLS, invent.random.randint(0, 3))
        # A JSON string and a quoted element of an array literal escape alike.
        array = "{" + ",".join(json.dumps(skill, ensure_ascii=False) for skill in skills) + "}"
        answers = json.dumps({"why": invent.word(), "hours": invent.random.randint(5, 40)}, ensure_ascii=False)
        created = invent.moment()
        rows.append(
            (
                invent.id(),
                applicant.id if applicant else None,
                invent.word(),
                invent.word(),
                f"applicant.{index}@example.org",
                invent.contact_number(),
                invent.random.choice(POSITIONS),
                array,
                answers,
                invent.random.choice(("RECEIVED", "REVIEWING", "APPROVED", "REJECTED")),
                created,
                invent.moment(created),
            )
        )
    copy_rows(cursor, sql.Identifier("public", "job_applications"), columns, rows)
    return [str(row[0]) for row in rows]


def seed_file_uploads(
    cursor: Cursor, invent: Inventor, count: int, orders: Sequence[Order], applications: Sequence[str]
) -> None:
    columns = (
        "id userId cateringRequestId jobApplicationId fileName fileType fileSize storagePath category " "uploadedAt"
    ).split()
    rows: list[Row] = []
    for index in range(count):
        category, kind = invent.random.choice(FILES)
        order = None if invent.chance(0.15) else invent.random.choice(orders)
        application = invent.random.choice(applications) if order is None else None
        owner, request = (order.owner, order.id) if order else (None, None)
        name = f"{category} {invent.word()}.{kind.rsplit('/', 1)[1]}"
        size = invent.random.randint(900, 25_000_000)
        uploaded = invent.moment(order.created if order else None)
        path = f"uploads/{uploaded:%Y/%m}/{index:07d}"
        rows.append((invent.id(), owner, request, application, name, kind, size, path, category, uploaded))
    copy_rows(cursor, sql.Identifier("public", "file_uploads"), columns, rows)


def seed_dispatches(
    cursor: Cursor, invent: Inventor, count: int, profiles: Sequence[Profile], kinds: Sequence[Sequence[Order]]
) -> None:
    columns = "id cateringRequestId onDemandRequestId driverId status createdAt updatedAt".split()
    drivers = [profile.id for profile in profiles if profile.type == "DRIVER"]
    catering, on_demand = kinds
    statuses = ("ASSIGNED", "ARRIVED_AT_VENDOR", "EN_ROUTE", "ABANDONED") + ("COMPLETED",) * 12
    rows: list[Row] = []
    for dummy in range(count):
        is_catering = invent.chance(0.7)
        order = invent.random.choice(catering if is_catering else on_demand)
        request = (order.id, None) if is_catering else (None, order.id)
        created = invent.moment(order.created)
        driver, status = invent.random.choice(drivers), invent.random.choice(statuses)
        rows.append((invent.id(), *request, driver, status, created, invent.moment(created)))
    copy_rows(cursor, sql.Identifier("public", "dispatches"), columns, rows)


def seed_everything(cursor: Cursor, invent: Inventor, sizes: dict[str, int], legacy: Sequence[str]) -> None:
    profiles = seed_profiles(cursor, invent, sizes["profiles"], legacy)
    addresses = seed_addresses(cursor, invent, sizes["addresses"], profiles)
    catering, on_demand = (
        seed_requests(cursor, invent, table, sizes[table], profiles, addresses)
        for table in ("catering_requests", "on_demand_requests")
    )
    applications = seed_job_applications(cursor, invent, sizes["job_applications"], profiles)
    seed_file_uploads(cursor, invent, sizes["file_uploads"], catering, applications)
    seed_dispatches(cursor, invent, sizes["dispatches"], profiles, (catering, on_demand))


def existing_profiles(cursor: Cursor) -> int:
    """How many profiles the project has.

    Raises SystemExit when the table is not there, i.e. the base migrations were not applied.
    """
    cursor.execute("select to_regclass('public.profiles') is not null")
    (there,) = cursor.fetchone() or (False,)
    if not there:
        raise SystemExit("public.profiles does not exist: apply the migrations before 20251014 first. Nothing changed.")
    cursor.execute("select count(*) from public.profiles")
    (count,) = cursor.fetchone() or (0,)
    return int(count)


def analyze(connection: Connection) -> None:
    """Give the planner its statistics, as autovacuum would a minute later."""
    with connection, connection.cursor() as cursor:
        cursor.execute(sql.SQL("analyze {}").format(sql.SQL(", ").join(sql.Identifier("public", t) for t in SHARES)))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--profile", choices=sorted(DEFAULT_ROWS), default="prod", help="prod has legacy contact numbers"
    )
    parser.add_argument("--rows", type=int, help="rows in all tables together, about; default 100000, for dev 20000")
    parser.add_argument("--seed", type=int, default=20251014, help="another number gives other rows")
    parsed = parser.parse_args()
    parsed.rows = DEFAULT_ROWS[parsed.profile] if parsed.rows is None else parsed.rows
    if parsed.rows < 1:
        parser.error("--rows must be at least 1")
    return parsed


def main() -> None:
    options = arguments()
    uri = os.environ.get(URI_VARIABLE)
    if not uri:
        raise SystemExit(
            f"Set {URI_VARIABLE} to the project's libpq URI, e.g. postgresql://postgres@127.0.0.1:5432/postgres."
        )
    started = time.monotonic()
    try:
        connection = psycopg2.connect(uri, application_name="ready_set seed")
    except psycopg2.OperationalError as error:
        raise SystemExit(f"Cannot connect with the URI in {URI_VARIABLE}: {error}".rstrip()) from error
    try:
        with connection, connection.cursor() as cursor:
            present = existing_profiles(cursor)
            if present:
                print(f"ready_set: already seeded ({present} profiles); nothing to do.")
                return
            sizes = table_sizes(options.rows)
            legacy = LEGACY_NUMBERS if options.profile == "prod" else ()
            seed_everything(cursor, Inventor(options.seed, options.profile), sizes, legacy)
        analyze(connection)
    finally:
        connection.close()
    total = sum(sizes.values()) + sizes["profiles"]
    print(f"ready_set: {total} rows as {options.profile} in {time.monotonic() - started:.1f} s:", end=" ")
    print(", ".join(f"{table} {size}" for table, size in sizes.items()) + f", auth.users {sizes['profiles']}.")


if __name__ == "__main__":
    main()
