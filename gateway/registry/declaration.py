"""A manufacturer's declaration: tenant, product models, slots and channels, from one TOML file.

docs/operating.md shows one. Declaring again changes what stands; it never removes a slot that units have.
"""

import tomllib
from typing import Annotated, Literal, Self

import psycopg
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator, model_validator

from gateway.errors import ConfigurationError
from gateway.registry import channels, tenants
from gateway.registry.gtin import BadCode, gtin14

Code = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]{1,32}$")]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class BadDeclaration(ConfigurationError):
    """A declaration cannot work; the message names the place, what is wrong and what would be right."""


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
    predictor: Literal["rated", "weibull", "hit", "calendar"] = "weibull"
    life_h: Positive | None = None
    life_d: Positive
    load_channel: Code | None = None
    load_ref: Positive | None = None
    indicator_channel: Code | None = None
    indicator_eol: float | None = None
    flow_channel: Code | None = None
    flow_ref: Positive | None = None
    flow_exponent: Positive = 1.6
    cost_early: Positive = 1.0
    cost_late: Positive = 4.0

    @model_validator(mode="after")
    def _belongs_together(self) -> Self:
        if (self.load_channel is None) != (self.load_ref is None):
            raise ValueError("load_channel and load_ref go together: the reference says at which load life_h is rated")
        if (self.indicator_channel is None) != (self.indicator_eol is None):
            raise ValueError(
                "indicator_channel and indicator_eol go together: the end of life is a level of the indicator"
            )
        if (self.flow_channel is None) != (self.flow_ref is None):
            raise ValueError("flow_channel and flow_ref go together: the flow at which indicator_eol is declared")
        if self.flow_channel is not None and self.indicator_channel is None:
            raise ValueError("flow_channel says at which flow an indicator is read; declare indicator_channel as well")
        if self.predictor == "hit" and self.indicator_channel is None:
            raise ValueError('predictor "hit" needs an indicator_channel; without one use "weibull"')
        return self


class ModelOf(_Strict):
    gtin: str
    name: str
    category: str = "appliance"
    adapter: Literal["wearwell", "dyson"] = "wearwell"
    slots: Annotated[list[SlotOf], Field(min_length=1)]

    _gtin = field_validator("gtin")(gtin14)


class Declaration(_Strict):
    """The whole file."""

    tenant: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$")]
    name: str
    channels: list[ChannelOf] = []
    models: Annotated[list[ModelOf], Field(min_length=1)]

    @model_validator(mode="after")
    def _channels_exist(self) -> Self:
        known = {c.name for c in channels.CHANNELS} | {c.name for c in self.channels}
        for model in self.models:
            for slot in model.slots:
                for field in ("load_channel", "indicator_channel", "flow_channel"):
                    name = getattr(slot, field)
                    if name and name not in known:
                        raise ValueError(
                            f"{field} {name!r} of slot {slot.code!r} is no channel; add it under [[channels]]"
                        )
        return self


def read(text: str) -> Declaration:
    """Read a declaration; raises BadDeclaration with the place, the fault and the remedy."""
    try:
        return Declaration.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise BadDeclaration(f"the declaration is not TOML: {error}") from None
    except BadCode as error:
        raise BadDeclaration(f"the declaration cannot work: {error}") from None
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "file"
        raise BadDeclaration(f"{place}: {str(first['msg']).removeprefix('Value error, ')}") from None


def declare(conn: psycopg.Connection, declared: Declaration) -> int:
    """Store a declaration and return its tenant's id. The caller commits."""
    tenant_id = tenants.create(conn, declared.tenant, declared.name)
    for channel in declared.channels:
        channels.add(conn, tenant_id, channels.Measure(**channel.model_dump()))
    for model in declared.models:
        _declare_model(conn, tenant_id, model)
    return tenant_id


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
        places = ", ".join(f"%({name})s" for name in columns)
        changes = ", ".join(f"{name} = excluded.{name}" for name in columns if name != "code")
        conn.execute(
            f"""insert into slot (tenant_id, model_id, {names}) values (%(tenant_id)s, %(model_id)s, {places})
                on conflict (model_id, code) do update set {changes}""",
            {"tenant_id": tenant_id, "model_id": row[0], **columns},
        )
