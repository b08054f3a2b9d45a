-- What an operator looks at, unit by unit: how far behind its readings are, whether its clock can be believed, and how
-- much came twice.

-- Written with last_seen_at, in the same statement; empty until the unit's next readings come in.
alter table unit add column latest_at timestamptz;           -- the moment of its newest reading, in corrected time
alter table unit add column clock "char";                    -- of that reading: s synced, r relative, n none, w wrong
alter table unit add column clock_off_s double precision;    -- what its clock said of it, less when it arrived; > 0: ahead

create table duplicate_hourly(               -- readings that came again and were not stored again; no row where none did
  tenant_id int not null,
  unit_id bigint not null,
  hour timestamptz not null,                 -- in which they came
  redelivered int not null,                  -- by the broker, by its own word; out of quarantine; by a second try
  resent int not null,                       -- by the unit
  primary key (unit_id, hour),
  foreign key (tenant_id, unit_id) references unit (tenant_id, unit_id));
create index duplicate_hourly_hour on duplicate_hourly (hour);
call isolate('wearwell.duplicate_hourly', 'select');
