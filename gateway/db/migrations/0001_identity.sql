-- Who and what: tenants, product models, slots, parts of the fleet, people, credentials.
-- Every row carries its tenant; isolate() makes that a rule of the database.

create extension if not exists btree_gist with schema public;

do $$ begin
  begin
    create role wearwell_app nologin;        -- the web: one tenant per transaction
  exception when duplicate_object or unique_violation then null;   -- roles belong to the server, not to this database
  end;
  begin
    create role wearwell_gateway nologin;    -- ingest and worker: every tenant, no DDL
  exception when duplicate_object or unique_violation then null;
  end;
  begin    -- to hand the door functions over to it; a login that was granted it by somebody else needs nothing more
    execute format('grant wearwell_gateway to %I', current_user);
  exception when insufficient_privilege or unique_violation then null;
  end;
end $$;
grant usage on schema wearwell to wearwell_app, wearwell_gateway;
grant usage on schema public to wearwell_app, wearwell_gateway;

-- The tenant of the running transaction; null when none is set, which matches no row.
create function current_tenant() returns int language sql stable
  as $$ select nullif(current_setting('app.tenant', true), '')::int $$;

-- Put a table under tenancy: the app role sees one tenant, the gateway role all, nobody else any. `app_may` is what the
-- web does with it and no more: a hole in a page writes no readings, forecasts or prices, and rewrites no history.
create procedure isolate(target regclass, app_may text default '') language plpgsql as $$
begin
  execute format('alter table %s enable row level security', target);
  execute format('alter table %s force row level security', target);
  execute format('create policy one_tenant on %s to wearwell_app
                  using (tenant_id = wearwell.current_tenant())
                  with check (tenant_id = wearwell.current_tenant())', target);
  execute format('create policy all_tenants on %s to wearwell_gateway using (true) with check (true)', target);
  execute format('grant select, insert, update, delete on %s to wearwell_gateway', target);
  if app_may <> '' then
    execute format('grant %s on %s to wearwell_app', app_may, target);
  end if;
end $$;

create table tenant(                         -- a manufacturer, or a fleet operator with its own gateway
  tenant_id int generated always as identity primary key,
  slug text not null unique check (slug ~ '^[a-z0-9][a-z0-9-]{0,31}$'),
  name text not null,
  created_at timestamptz not null);

create table product_model(
  model_id int generated always as identity primary key,
  tenant_id int not null references tenant,
  gtin char(14) not null unique check (gtin ~ '^[0-9]{14}$'),   -- GTINs are unique in the world, and public
  name text not null,
  category text not null default 'appliance',
  adapter text not null default 'wearwell',  -- which payload adapter its units speak
  unique (tenant_id, model_id));

create table slot(                           -- the place a consumable sits, defined on the model
  slot_id int generated always as identity primary key,
  tenant_id int not null,
  model_id int not null,
  code text not null check (code ~ '^[a-z0-9_]{1,32}$'),
  name text not null,
  predictor text not null default 'weibull', -- name in the predictors registry
  life_h double precision check (life_h > 0),             -- rated life in running hours
  life_d double precision not null check (life_d > 0),    -- rated life in calendar days: what a unit without a radio gets
  load_channel text,                         -- the channel that wears it besides time, such as pm25
  load_ref double precision check (load_ref > 0),         -- the load at which life_h is rated
  indicator_channel text,                    -- the channel that shows its wear, such as pressure_drop
  indicator_eol double precision,            -- the indicator at the end of life
  cost_early double precision not null default 1 check (cost_early > 0),  -- of one day of life wasted
  cost_late double precision not null default 4 check (cost_late > 0),    -- of one day run past the end
  foreign key (tenant_id, model_id) references product_model (tenant_id, model_id),
  unique (model_id, code), unique (model_id, slot_id), unique (tenant_id, slot_id));

create table unit(                           -- one physical product
  unit_id bigint generated always as identity primary key,
  tenant_id int not null,
  model_id int not null,
  serial text not null check (serial ~ '^[!"%-?A-Z_a-z]{1,20}$'),   -- GS1 AI 21: CSET 82, at most 20
  device text unique check (device ~ '^[A-Za-z0-9._-]{1,64}$'),       -- its MQTT name; null without a radio
  hw_rev text not null default '',
  firmware text,
  name text,                                 -- what the owner calls it
  region char(2) not null default 'DE',
  connection text not null default 'never' check (connection in ('never', 'online', 'sleeping', 'lost')),
  connection_session bigint,
  last_seen_at timestamptz,
  created_at timestamptz not null,
  foreign key (tenant_id, model_id) references product_model (tenant_id, model_id),
  unique (model_id, serial), unique (tenant_id, unit_id), unique (tenant_id, model_id, unit_id));
create index unit_fleet on unit (tenant_id, unit_id);

create table credential(                     -- what the broker lets in; the secret itself is never stored
  credential_id bigint generated always as identity primary key,
  tenant_id int not null,
  unit_id bigint not null,
  device text not null,
  secret_hash text not null,                 -- as Mosquitto's password file holds it: $7$ = PBKDF2-SHA512
  created_at timestamptz not null,
  revoked_at timestamptz,
  foreign key (tenant_id, unit_id) references unit (tenant_id, unit_id));
create unique index one_live_credential on credential (device) where revoked_at is null;

create table party(                          -- personal data lives here and in site, nowhere else
  party_id bigint generated always as identity primary key,
  tenant_id int not null references tenant,
  display_name text,
  email text,
  locale text not null default 'en',
  channel text not null default 'email' check (channel in ('email', 'none')),
  erased_at timestamptz,
  created_at timestamptz not null,
  check (erased_at is null or (display_name is null and email is null)),
  unique (tenant_id, party_id));
create unique index party_email on party (tenant_id, lower(email)) where email is not null;

create table site(
  site_id bigint generated always as identity primary key,
  tenant_id int not null,
  party_id bigint not null,
  address jsonb not null,                    -- name, line1, postal_code, city, country
  foreign key (tenant_id, party_id) references party (tenant_id, party_id),
  unique (tenant_id, site_id));

create table consent(                        -- one row per person, channel and wording
  consent_id bigint generated always as identity primary key,
  tenant_id int not null,
  party_id bigint not null,
  purpose text not null check (purpose in ('replacement_prompts', 'save_card')),
  wording text not null,
  given_at timestamptz not null,
  withdrawn_at timestamptz,
  foreign key (tenant_id, party_id) references party (tenant_id, party_id));
create unique index one_live_consent on consent (party_id, purpose) where withdrawn_at is null;

create table ownership(                      -- who owns a unit, never two at once
  ownership_id bigint generated always as identity primary key,
  tenant_id int not null,
  unit_id bigint not null,
  party_id bigint not null,
  site_id bigint,
  period tstzrange not null check (not isempty(period)),
  foreign key (tenant_id, unit_id) references unit (tenant_id, unit_id),
  foreign key (tenant_id, party_id) references party (tenant_id, party_id),
  foreign key (tenant_id, site_id) references site (tenant_id, site_id),
  exclude using gist (unit_id with =, period with &&));
create index ownership_of_party on ownership (party_id);

do $$ declare t text; begin
  foreach t in array array['product_model', 'slot', 'unit', 'party', 'site', 'ownership'] loop
    call isolate(('wearwell.' || t)::regclass, 'select');
  end loop;
end $$;
call isolate('wearwell.credential');
call isolate('wearwell.consent', 'select, insert, update');
alter table tenant enable row level security;
alter table tenant force row level security;
create policy one_tenant on tenant to wearwell_app using (tenant_id = current_tenant());
create policy all_tenants on tenant to wearwell_gateway using (true) with check (true);
grant select on tenant to wearwell_app;
grant select, insert, update on tenant to wearwell_gateway;
