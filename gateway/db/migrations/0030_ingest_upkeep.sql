-- Rows that ingest changes with every batch find room on their page, so that their indexes need not be touched.
alter table unit set (fillfactor = 60);
alter table unit_session set (fillfactor = 60);
alter table counter_high set (fillfactor = 60);
alter table reading_hourly set (fillfactor = 70);

-- A mark is written for a unit that ingest has just locked, by the thousand: asking again whether it exists cost more
-- than all else about the mark. Units are never deleted.
alter table rescore drop constraint rescore_tenant_id_unit_id_fkey;
