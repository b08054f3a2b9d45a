-- Gaps that were filled are let go once they are old (gateway/lifecycle/retention.py); each look finds the oldest here.
create index gap_filled on gap (closed_at) where outcome = 'filled';
