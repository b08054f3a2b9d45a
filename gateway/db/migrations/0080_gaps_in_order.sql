-- A session's gaps in the order of their numbers: ingest looks at those that a batch touches, however many there are.

create index gap_in_order on gap (unit_id, session, lower(seqs)) where outcome is distinct from 'filled';
drop index gap_missing;
