-- Rows that ingest changes with every batch find room on their page, so that their indexes need not be touched.
alter table unit set (fillfactor = 60);
alter table unit_session set (fillfactor = 60);
alter table counter_high set (fillfactor = 60);
alter table reading_hourly set (fillfactor = 70);

-- A mark is written for a unit that ingest has just locked, by the thousand: asking again whether it exists cost more
-- than all else about the mark. Units are never deleted.
alter table rescore drop constraint rescore_tenant_id_unit_id_fkey;

-- As before, and two that need the same month at once wait for each other instead of failing.
create or replace function reading_partitions(since timestamptz, until timestamptz) returns int
language plpgsql security definer set search_path = wearwell, public, pg_temp as $$
declare
  month timestamp := date_trunc('month', since at time zone 'UTC');
  made int := 0;
  part text;
begin
  if not exists (select from pg_partitioned_table where partrelid = 'wearwell.reading'::regclass) then
    return 0;
  end if;
  while month <= until at time zone 'UTC' loop
    part := 'reading_' || to_char(month, 'YYYYMM');
    if to_regclass('wearwell.' || part) is null then
      perform pg_advisory_xact_lock(hashtext('wearwell.reading_partitions'));
      -- A query, which sees what was committed while we waited; the catalogue's cache does not.
      if not exists (select from pg_class where relname = part and relnamespace = 'wearwell'::regnamespace) then
        execute format('create table %I partition of reading for values from (%L) to (%L)',
                       part, month at time zone 'UTC', (month + interval '1 month') at time zone 'UTC');
        made := made + 1;
      end if;
    end if;
    month := month + interval '1 month';
  end loop;
  return made;
end $$;
