"""A manufacturer's declaration: tenant, product models, slots and channels, from one TOML or YAML file.

docs/operating.md shows one. Declaring again changes what stands; it never removes a slot that units have. A file that
cannot work is refused with every fault in it, each with its line and what would be right.
"""

from typing import Annotated, Any, Literal

import psycopg
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, StringConstraints, ValidationError, field_validator
from pydantic_core import ErrorDetails

from gateway.errors import ConfigurationError
from gateway.registry import channels, declarations, places, sense, tenants
from gateway.registry.gtin import BadCode, gtin14
from gateway.registry.places import Path, Unreadable

Code = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]{1,32}$")]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Format = Literal["toml", "yaml"]


class BadDeclaration(ConfigurationError):
    """A declaration cannot work; the message names each line, what is wrong and what would be right."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ChannelOf(_Strict):
    name: Code
    unit: str
    kind: Literal["counter", "gauge", "state"] = "gauge"
    low: float = -float("inf")
    high: float = float("inf")


class SlotOf(_Strict):
    code: Code
    name: str
    predictor: str = "weibull"
    life_h: Positive | None = None
    life_d: Positive
    load_channel: Code | None = None
    load_ref: Positive | None = None
    indicator_channel: Code | None = None
    indicator_eol: Finite | None = None
    indicator_baseline: Finite | None = None
    indicator_falls: bool = False
    levels: Annotated[list[Finite], Field(min_length=1, max_length=32)] | None = None
    flow_channel: Code | None = None
    flow_ref: Positive | None = None
    flow_exponent: Positive = 1.6
    covariates: Annotated[list[Code], Field(max_length=8)] = []
    family: Code | None = None
    cost_early: Positive = 1.0
    cost_late: Positive = 4.0
    delivery_d: Annotated[float, Field(ge=0, le=365)] | None = None


class ModelOf(_Strict):
    gtin: str
    name: str
    category: str = "appliance"
    adapter: Literal["wearwell", "dyson"] = "wearwell"
    slots: Annotated[list[SlotOf], Field(min_length=1)]

    @field_validator("gtin")
    @classmethod
    def _whole(cls, code: str) -> str:
        try:
            return gtin14(code)
        except BadCode as wrong:
            raise ValueError(str(wrong)) from None


class PromotionOf(_Strict):
    """The rule by which a challenger may take over (gateway/bench/compare.py)."""

    least_cycles: Annotated[int, Field(ge=1)] = 20
    sure: Annotated[float, Field(gt=0.5, lt=1)] = 0.9
    cov80: Annotated[list[Annotated[float, Field(ge=0, le=1)]], Field(min_length=2, max_length=2)] = [0.72, 0.92]
    late_margin: Annotated[float, Field(ge=0, le=1)] = 0.0


class Declaration(_Strict):
    """The whole file."""

    tenant: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$")]
    name: str
    channels: list[ChannelOf] = []
    models: Annotated[list[ModelOf], Field(min_length=1)]
    promotion: PromotionOf | None = None

    _source: str = PrivateAttr("")


WHY = {
    "life_h": "rated running hours",
    "life_d": "rated days, which is all that a unit without a radio has",
    "cost_early": "what a day of life thrown away costs",
    "cost_late": "what a day run past the end costs",
    "load_ref": "the load at which life_h is rated",
    "delivery_d": "days that a part takes to arrive",
    "gtin": "8, 12, 13 or 14 digits with their check digit",
    "family": "lower case letters, digits and _, the same in every slot that belongs to it",
    "code": "lower case letters, digits and _",
    "tenant": "lower case letters, digits and dashes",
}
KEYS: dict[str, type[BaseModel]] = {"": Declaration, "channels": ChannelOf, "models": ModelOf, "slots": SlotOf,
                                    "promotion": PromotionOf}  # fmt: skip


def read(text: str, form: Format = "toml") -> Declaration:
    """Read a declaration; raises BadDeclaration with every fault, its line and its remedy, in the order of the file."""
    try:
        raw, lines = places.toml(text) if form == "toml" else places.yaml_of(text)
    except Unreadable as error:
        raise BadDeclaration(str(error)) from None
    found = list(sense.faults(raw))
    declared = None
    try:
        declared = Declaration.model_validate(raw)
    except ValidationError as error:
        found += [sense.Fault(_path(each), _says(each)) for each in error.errors()]
    if found or declared is None:
        said = sorted({(places.line_of(lines, path), _place(path), says) for path, says in found})
        head = "the declaration cannot work" if len(said) == 1 else f"the declaration has {len(said)} faults"
        raise BadDeclaration(
            "\n  ".join([f"{head}:", *(f"line {line}, {place}: {says}" for line, place, says in said)])
        )
    declared._source = text  # noqa: SLF001  # its own
    return declared


def declare(conn: psycopg.Connection, declared: Declaration) -> int:
    """Store a declaration and return its tenant's id; one that changes something is kept as a version.

    The caller commits.
    """
    tenant_id = tenants.create(conn, declared.tenant, declared.name)
    stood = declarations.stands(conn, tenant_id)
    _refuse_other_scales(conn, tenant_id, declared)
    for channel in declared.channels:
        channels.add(conn, tenant_id, channels.Measure(**channel.model_dump()))
    for model in declared.models:
        _declare_model(conn, tenant_id, model)
    promotion = declared.promotion.model_dump() if declared.promotion else None
    declarations.keep(conn, tenant_id, declared._source, promotion, stood)  # noqa: SLF001  # its own
    return tenant_id


def _refuse_other_scales(conn: psycopg.Connection, tenant_id: int, declared: Declaration) -> None:
    """Raise BadDeclaration where a covariate that models learned from would be counted in another way from now on."""
    had = channels.of_tenant(conn, tenant_id)
    used = {
        row[0]
        for row in conn.execute("select distinct unnest(covariates) from slot where tenant_id = %s", (tenant_id,))
    }
    for channel in declared.channels:
        before = had.get(channel.name)
        if before is None or channel.name not in used:
            continue
        was, becomes = channels.scale(before.kind, before.low), channels.scale(channel.kind, channel.low)
        if was != becomes:
            raise BadDeclaration(
                f"the channel {channel.name!r} is a covariate of models that were fitted with it as {was!r}; with these"
                f" bounds it would count as {becomes!r}. Declare a channel of another name, or leave its kind and the"
                " sign of its low as they are"
            )


def _declare_model(conn: psycopg.Connection, tenant_id: int, model: ModelOf) -> None:
    row = conn.execute(
        """insert into product_model (tenant_id, gtin, name, category, adapter) values (%s, %s, %s, %s, %s)
           on conflict (gtin) do update
           set name = excluded.name, category = excluded.category, adapter = excluded.adapter
           where product_model.tenant_id = excluded.tenant_id returning model_id""",
        (tenant_id, model.gtin, model.name, model.category, model.adapter),
    ).fetchone()
    if row is None:
        raise BadDeclaration(f"the GTIN {model.gtin} is declared by another tenant; a GTIN belongs to one")
    for slot in model.slots:
        columns = slot.model_dump()
        names = ", ".join(columns)
        given = ", ".join(f"%({name})s" for name in columns)
        changes = ", ".join(f"{name} = excluded.{name}" for name in columns if name != "code")
        conn.execute(
            f"""insert into slot (tenant_id, model_id, {names}) values (%(tenant_id)s, %(model_id)s, {given})
                on conflict (model_id, code) do update set {changes}""",
            {"tenant_id": tenant_id, "model_id": row[0], **columns},
        )


def _path(error: ErrorDetails) -> Path:
    """Return where an error is; of a missing key that is the table that lacks it, by its own name."""
    return tuple(part for part in error["loc"] if not str(part).startswith("function-"))


def _place(path: Path) -> str:
    return ".".join(str(part) for part in path) or "file"


def _key(loc: tuple[int | str, ...]) -> str:
    """Return what a place is called: its key, or which one of a list."""
    if not loc:
        return "file"
    return f"number {loc[-1] + 1} of {loc[-2]}" if isinstance(loc[-1], int) and len(loc) > 1 else str(loc[-1])


def _says(error: ErrorDetails) -> str:
    """Return what is wrong and what would be right, of one error of the shape."""
    kind, key = error["type"], _key(error["loc"])
    why = f": {WHY[key]}" if key in WHY else ""
    given: Any = error.get("input")
    limits = error.get("ctx", {})
    table = next((str(part) for part in reversed(error["loc"][:-1]) if isinstance(part, str)), "")
    keys = list(KEYS[table].model_fields) if table in KEYS else []
    said = {
        "extra_forbidden": f"{key!r} is no key here{sense.nearest(key, keys)}; there are {', '.join(keys)}",
        "missing": f"{key} is missing{why}; add it",
        "greater_than": f"{key} must be above {limits.get('gt')}, not {given!r}{why}",
        "greater_than_equal": f"{key} must be {limits.get('ge')} or more, not {given!r}{why}",
        "less_than": f"{key} must be below {limits.get('lt')}, not {given!r}{why}",
        "less_than_equal": f"{key} must be {limits.get('le')} or less, not {given!r}{why}",
        "finite_number": f"{key} must be a finite number, not {given!r}{why}",
        "float_type": f"{key} must be a number, not {given!r}{why}",
        "float_parsing": f"{key} must be a number, not {given!r}{why}",
        "string_type": f'{key} must be text{why}; write it in quotes: "{given}"',
        "string_pattern_mismatch": f"{key} {given!r} cannot be{why or ': it must match ' + str(limits.get('pattern'))}",
        "literal_error": f"{key} {given!r} is none of {limits.get('expected')}",
        "too_short": f"{key} is empty; declare one at least",
    }.get(kind)
    return said or str(error["msg"]).removeprefix("Value error, ")
