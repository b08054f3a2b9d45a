-- People at the door: staff, sessions, links. Tokens are stored hashed; these times are the wall clock's.

create table staff(
  staff_id int generated always as identity primary key,
  tenant_id int not null references tenant,
  email text not null,
  password_hash text not null,               -- argon2id
  role text not null check (role in ('admin', 'editor', 'reader')),
  created_at timestamptz not null,
  disabled_at timestamptz,
  unique (tenant_id, staff_id));
create unique index staff_email on staff (lower(email));
call isolate('wearwell.staff', 'select');

create table web_session(
  token_hash bytea primary key,
  tenant_id int not null references tenant,
  staff_id int,
  party_id bigint,
  csrf_hash bytea not null,
  created_at timestamptz not null,
  seen_at timestamptz not null,
  expires_at timestamptz not null,
  check (num_nonnulls(staff_id, party_id) = 1),
  foreign key (tenant_id, staff_id) references staff (tenant_id, staff_id),
  foreign key (tenant_id, party_id) references party (tenant_id, party_id));
create index session_of_staff on web_session (staff_id);
create index session_of_party on web_session (party_id);
call isolate('wearwell.web_session', 'select, insert, update, delete');

create table owner_link(                     -- what a mail carries: bound to one person, unit, slot, purpose
  token_hash bytea primary key,
  tenant_id int not null,
  party_id bigint not null,
  unit_id bigint,
  slot_id int,
  prompt_id bigint,
  purpose text not null check (purpose in ('prompt', 'sign_in')),
  created_at timestamptz not null,
  expires_at timestamptz not null,
  used_at timestamptz,                       -- an order link is spent by its order; showing the page spends nothing
  revoked_at timestamptz,
  foreign key (tenant_id, party_id) references party (tenant_id, party_id),
  foreign key (tenant_id, unit_id) references unit (tenant_id, unit_id),
  foreign key (tenant_id, slot_id) references slot (tenant_id, slot_id),
  foreign key (tenant_id, prompt_id) references prompt (tenant_id, prompt_id));
create index link_of_unit on owner_link (unit_id);
call isolate('wearwell.owner_link', 'select, update');

create table audit(                          -- append-only: logins, refusals, token use, changes
  audit_id bigint generated always as identity primary key,
  tenant_id int references tenant,
  at timestamptz not null,
  actor text not null,                       -- staff:3, party:7, gateway, anonymous
  action text not null,
  detail jsonb not null default '{}');
alter table audit enable row level security;
alter table audit force row level security;
create policy one_tenant on audit for select to wearwell_app using (tenant_id = current_tenant());
create policy append on audit for insert to wearwell_app   -- who is refused at the door has no tenant
  with check (tenant_id is null or tenant_id = current_tenant());
create policy all_tenants on audit to wearwell_gateway using (true) with check (true);
grant select, insert on audit to wearwell_app, wearwell_gateway;

create table attempt(                        -- what rate limits count, per account and per address
  bucket text not null,                      -- login:account:<hash>, login:address:<hash>, …
  at timestamptz not null);
create index attempt_bucket on attempt (bucket, at);
grant select, insert, delete on attempt to wearwell_app, wearwell_gateway;

grant select on migration to wearwell_app, wearwell_gateway;   -- readiness compares it with the files

-- The doors: how a request that names no tenant yet finds the one it belongs to. Each returns the least it can,
-- and each belongs to the gateway role, because the app role sees nothing before a tenant is set.
create function door_unit(in_gtin text, in_serial text) returns table (tenant_id int, unit_id bigint)
  language sql stable security definer set search_path = wearwell, pg_temp as $$
  select u.tenant_id, u.unit_id from unit u join product_model m using (tenant_id, model_id)
  where m.gtin = in_gtin and u.serial = in_serial $$;
create function door_model(in_gtin text) returns table (tenant_id int, model_id int)
  language sql stable security definer set search_path = wearwell, pg_temp as $$
  select m.tenant_id, m.model_id from product_model m where m.gtin = in_gtin $$;
create function door_link(in_hash bytea) returns table (tenant_id int)
  language sql stable security definer set search_path = wearwell, pg_temp as $$
  select l.tenant_id from owner_link l where l.token_hash = in_hash $$;
create function door_session(in_hash bytea) returns table (tenant_id int)
  language sql stable security definer set search_path = wearwell, pg_temp as $$
  select s.tenant_id from web_session s where s.token_hash = in_hash $$;
create function door_staff(in_email text) returns table (tenant_id int, staff_id int, password_hash text, disabled boolean)
  language sql stable security definer set search_path = wearwell, pg_temp as $$
  select s.tenant_id, s.staff_id, s.password_hash, s.disabled_at is not null from staff s where lower(s.email) = lower(in_email) $$;
create function door_owner(in_email text) returns table (tenant_id int, party_id bigint)
  language sql stable security definer set search_path = wearwell, pg_temp as $$
  select p.tenant_id, p.party_id from party p where lower(p.email) = lower(in_email) and p.erased_at is null
    and exists (select from ownership o where o.party_id = p.party_id and upper_inf(o.period)) $$;
create function door_tenant(in_slug text) returns table (tenant_id int)
  language sql stable security definer set search_path = wearwell, pg_temp as $$
  select t.tenant_id from tenant t where t.slug = in_slug $$;
grant create on schema wearwell to wearwell_gateway;   -- PostgreSQL asks it of a function's new owner
do $$ declare f regprocedure; begin
  for f in select oid::regprocedure from pg_proc where pronamespace = 'wearwell'::regnamespace and proname like 'door\_%' loop
    execute format('alter function %s owner to wearwell_gateway', f);
    execute format('revoke all on function %s from public', f);
    execute format('grant execute on function %s to wearwell_app, wearwell_gateway', f);
  end loop;
end $$;
revoke create on schema wearwell from wearwell_gateway;
