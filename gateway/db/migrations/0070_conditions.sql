-- What wears a part besides its load, and the product models that a new one may learn from.

alter table slot add covariates text[] not null default '{}';    -- channels: gateway/replenish/conditions.py
alter table slot add family text check (family ~ '^[a-z0-9_]{1,32}$');   -- slots of one name lend each other what they know
create index slot_of_family on slot (tenant_id, family) where family is not null;
