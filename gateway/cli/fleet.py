"""Commands that change what the registry knows: product models, parts, units, staff."""

import secrets
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from gateway import clock, settings
from gateway.cli import bench, talk
from gateway.errors import ConfigurationError, Exit, NotFound, Unreachable, WearwellError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.operate import enrolment

app = typer.Typer()
parts = typer.Typer(help="Parts, what they fit, and what they cost.")
staff = typer.Typer(help="People of the manufacturer's console.")
people = typer.Typer(help="Owners whom the manufacturer knows already.")
app.add_typer(parts, name="parts")
app.add_typer(people, name="owners")
app.add_typer(staff, name="staff")

Tenant = Annotated[str, typer.Option(help="The manufacturer's short name, as declared.")]


@app.command()
def declare(
    file: Annotated[Path, typer.Argument(help="TOML or YAML: tenant, product models, slots, channels.")],
    check: Annotated[bool, typer.Option("--check", help="Only look for faults; needs no database.")] = False,
    as_json: talk.AsJson = False,
) -> None:
    """Declare a manufacturer's product models and slots; declaring again changes what stands."""
    from gateway.operate import database
    from gateway.registry import declaration, declarations, tenants

    form: Literal["toml", "yaml"] = "yaml" if file.suffix.lower() in (".yaml", ".yml") else "toml"
    declared = declaration.read(bench.read(file), form)
    slots = sum(len(model.slots) for model in declared.models)
    count = f"{len(declared.models)} product models with {slots} slots for {declared.tenant}"
    if check:
        talk.say(f"{file} can be declared: {count}")
        return
    from gateway.bench import read

    with database.connect(settings.load()) as conn:
        known = conn.execute("select tenant_id from tenant where slug = %s", (declared.tenant,)).fetchone()
        before = declarations.stands(conn, known[0]) if known else None
        heard = read.heard(conn, known[0]) if known else {}
        declaration.declare(conn, declared)
        after = declarations.latest(conn, tenants.by_slug(conn, declared.tenant).tenant_id)
        changes = declarations.difference(before, after.content) if after and before else []
        now = read.heard(conn, known[0]) if known else {}
        anew = [name for name, was in heard.items() if now.get(name, was) != was]
    talk.table([change._asdict() for change in changes], json=as_json, nothing="")
    for change in changes:
        if change.was and change.what.endswith(".predictor"):
            talk.say(
                f"{change.what}: a released version of {change.was!r} forecasts no more, one of {change.becomes!r} does"
            )
    for slot in anew:
        talk.say(
            f"{slot}: versions fitted for another end, other levels or covariates are not asked any more;"
            f" fit and release one: wearwell model fit {slot}, wearwell model release NUMBER"
        )
    version = f"; version {after.version}" if after else ""
    talk.say(f"declared {count}{version}{'' if before is None or changes else ', which changes nothing'}")


@app.command("declarations")
def list_declarations(
    tenant: Tenant,
    show: Annotated[int | None, typer.Option(help="Print the file of this version.")] = None,
    diff: Annotated[str | None, typer.Option(help="Show what differs between two versions, such as 3..5.")] = None,
    as_json: talk.AsJson = False,
) -> None:
    """List the versions of a manufacturer's declaration, print one, or show what differs between two."""
    from gateway.operate import database
    from gateway.registry import declarations, tenants

    with database.connect(settings.load()) as conn:
        tenant_id = tenants.by_slug(conn, tenant).tenant_id
        if show is not None:
            talk.line(declarations.one(conn, tenant_id, show).source.rstrip())
            return
        if diff is not None:
            low, _, high = diff.partition("..")
            if not (low.isdigit() and high.isdigit()):
                talk.refuse("write two versions like --diff 3..5")
            pair = [declarations.one(conn, tenant_id, int(each)).content for each in (low, high)]
            rows = [change._asdict() for change in declarations.difference(*pair)]
            talk.table(rows, json=as_json, nothing="nothing differs")
            return
        found = declarations.every(conn, tenant_id)
    listed = [
        {
            "version": each.version,
            "declared_at": each.declared_at,
            "changes": len(declarations.difference(before.content if before else None, each.content)),
            "sha256": each.sha256[:12],
        }
        for before, each in zip((None, *found), found, strict=False)
    ]
    talk.table(listed, json=as_json, nothing="nothing was declared yet")


@parts.command("import")
def import_parts(
    file: Annotated[Path, typer.Argument(help="CSV, one line for each part, slot and region; see docs/operating.md.")],
    tenant: Tenant,
) -> None:
    """Take parts, fitments and offers from a CSV: all of it, or nothing and the line at fault."""
    from gateway.operate import catalogue, database
    from gateway.registry import tenants

    with database.connect(settings.load()) as conn:
        count = catalogue.store(conn, tenants.by_slug(conn, tenant).tenant_id, bench.read(file), clock.now())
    talk.say(f"{len(count.parts)} parts, {count.fitments} fitments, {count.offers} offers")


@app.command()
def enrol(
    tenant: Tenant,
    gtin: Annotated[str | None, typer.Option(help="GTIN of the product model.")] = None,
    serial: Annotated[str | None, typer.Option(help="The unit's serial.")] = None,
    device: Annotated[str | None, typer.Option(help="Its MQTT name; else <tenant>.<serial>.")] = None,
    hw_rev: Annotated[str, typer.Option(help="Hardware revision.")] = "",
    region: Annotated[str, typer.Option(help="Country it is sold in, ISO 3166.")] = "DE",
    radio: Annotated[bool, typer.Option(help="Whether it speaks; without a radio its QR code is its identity.")] = True,
    batch: Annotated[Path | None, typer.Option(help="CSV of units instead: gtin, serial, …")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Where a batch's secrets go; a new file, readable by you only.")
    ] = None,
    as_json: talk.AsJson = False,
) -> None:
    """Enrol one unit, or a batch; each unit with a radio gets a credential, shown this once."""
    from gateway.operate import broker, database, enrolment
    from gateway.registry import tenants

    rows: list[enrolment.Row]
    if batch:
        if out is None:
            talk.refuse("a batch needs --out FILE.csv for its secrets")
        rows = enrolment.read(bench.read(batch))
    elif gtin and serial:
        rows = [enrolment.Row(0, gtin, serial, device, hw_rev, region, None, radio)]
    else:
        talk.refuse("name a unit with --gtin and --serial, or many with --batch FILE.csv --out SECRETS.csv")
    loaded = settings.load()
    with database.connect(loaded) as conn:
        tenant_id = tenants.by_slug(conn, tenant).tenant_id
        made = enrolment.enrol(conn, tenant_id, rows, clock.now(), login=loaded.mqtt_username)
        if out is None:
            _show_secrets(made, as_json=as_json)
        else:
            enrolment.write(out, made)  # before the commit: an enrolled unit whose secret nobody has is a brick
        conn.commit()
        told = broker.refresh(conn, loaded.data_dir, user=loaded.mqtt_username)
    talk.say(f"{len(made)} enrolled{f'; secrets in {out}' if out else ''}")
    if not told:
        talk.say("the broker learns of them with: wearwell broker-files")


def _show_secrets(made: "Sequence[enrolment.Made]", *, as_json: bool) -> None:
    """Print secrets and see them out: before the commit, and before the broker is told, which may take or fail."""
    talk.table([m._asdict() for m in made], json=as_json, nothing="nothing was enrolled")
    sys.stdout.flush()


@app.command()
def renew(
    device: Annotated[str, typer.Argument(help="The unit's MQTT name, or GTIN/serial.")],
    as_json: talk.AsJson = False,
) -> None:
    """Give a unit a new secret, shown this once; the one that it had, lost or revoked, lets nobody in any more."""
    from gateway.operate import broker, database, enrolment

    loaded = settings.load()
    with database.connect(loaded) as conn:
        made = enrolment.renew(conn, device, clock.now())
        _show_secrets([made], as_json=as_json)
        conn.commit()
        told = broker.refresh(conn, loaded.data_dir, user=loaded.mqtt_username)
    talk.say(
        f"{made.device} is let in by its new secret" if told else "the broker learns of it with: wearwell broker-files"
    )


@app.command()
def revoke(device: Annotated[str, typer.Argument(help="The unit's MQTT name.")]) -> None:
    """Revoke a unit's credential: the broker ends its session and lets it in no more; its history stays."""
    from gateway.operate import broker, database
    from gateway.registry import credentials

    loaded = settings.load()
    with database.connect(loaded) as conn:
        if not credentials.revoke(conn, device, clock.now()):
            raise NotFound(
                f"{device!r} has no live credential: it is let in no more already, or never was; look at the name,"
                f" or see it with: wearwell status {device}"
            )
        conn.commit()
        told = broker.refresh(conn, loaded.data_dir, user=loaded.mqtt_username)
    talk.say(f"{device} is let in no more" if told else "revoked; tell the broker: wearwell broker-files")


@people.command("import")
def import_owners(
    file: Annotated[Path, typer.Argument(help="CSV: gtin, serial, email and, where known, name and address.")],
    tenant: Tenant,
) -> None:
    """Register owners who agreed to be told when a part is due: all lines, or none."""
    from gateway.operate import database, registration
    from gateway.registry import tenants

    with database.connect(settings.load()) as conn:
        count = registration.register(conn, tenants.by_slug(conn, tenant).tenant_id, bench.read(file), clock.now())
    talk.say(f"{count} owners registered")


@app.command("broker-files")
def broker_files(
    folder: Annotated[Path | None, typer.Argument(help="Where to; else the embedded broker's own folder.")] = None,
    pid: Annotated[int | None, typer.Option(help="Process id of a Mosquitto to tell (SIGHUP).")] = None,
) -> None:
    """Write Mosquitto's password and access files from the registry, and let the broker read them again."""
    import os
    import signal

    from gateway.operate import access, broker, database

    loaded = settings.load()
    with database.connect(loaded) as conn:
        if folder is None:
            own = broker.folder_of(loaded.data_dir)
            told = broker.refresh(conn, loaded.data_dir, user=loaded.mqtt_username)
            if not told and broker.running(own) is None:
                raise ConfigurationError(
                    "no embedded broker runs here; name the folder of yours: wearwell broker-files FOLDER"
                )
            if not told:
                raise Unreachable(
                    f"written to {own}, but the embedded broker does not act on it;"
                    " its lines in the output of `wearwell up` say why"
                )
            talk.say(f"written to {own}; the embedded broker acts on it")
            return
        if loaded.mqtt_password is None:
            raise ConfigurationError(
                "WEARWELL_MQTT_PASSWORD: set the gateway's own password first, at least 16 characters"
            )
        count = access.write(
            conn, folder, gateway_user=loaded.mqtt_username, gateway_password=loaded.mqtt_password.get_secret_value()
        )
    talk.say(f"{count} logins in {folder}/{access.PASSWORDS}, rules in {folder}/{access.ACL}")
    if pid is not None:
        try:
            os.kill(pid, signal.SIGHUP)
        except OSError as error:
            raise WearwellError(f"process {pid} could not be told: {error.strerror}") from None


@staff.command("add")
def add_staff(
    email: Annotated[str, typer.Argument(help="Their address, which they sign in with.")],
    tenant: Tenant,
    role: Annotated[Literal["admin", "editor", "reader"], typer.Option(help="What they may do.")] = "reader",
    generate: Annotated[bool, typer.Option(help="Generate a password and print it once, instead of asking.")] = False,
) -> None:
    """Let a person into the console; the same address again gives a new password and role, and ends their sessions."""
    from gateway.operate import database
    from gateway.registry import staff as members
    from gateway.registry import tenants

    if generate or not sys.stdin.isatty():
        if not generate:
            talk.refuse("there is no terminal to ask for a password on; add --generate", Exit.USAGE)
        password = secrets.token_urlsafe(18)
    else:
        password = typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    with database.connect(settings.load()) as conn:
        members.create(
            conn,
            tenant_id=tenants.by_slug(conn, tenant).tenant_id,
            email=email,
            password=password,
            role=role,
            wall=clock.wall(),
        )
    talk.say(f"{email} may sign in at /console/login as {role}")
    if generate:
        talk.line(password)


@staff.command("disable")
def disable_staff(email: Annotated[str, typer.Argument(help="Their address.")], tenant: Tenant) -> None:
    """Shut a person out of the console and end their sessions; `staff add` lets them in again."""
    from gateway.operate import database, words
    from gateway.registry import staff as members
    from gateway.registry import tenants

    with database.connect(settings.load()) as conn:
        tenant_id = tenants.by_slug(conn, tenant).tenant_id
        ended = members.disable(conn, tenant_id=tenant_id, email=email, wall=clock.wall())
    talk.say(f"{email} may sign in no more; {words.count(ended, 'session')} ended")
