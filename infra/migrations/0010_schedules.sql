-- The reaction that enqueues the jobs of schedules begins where the log ends now, before any schedule can exist: one that
-- began where the log ends when a process first runs it could begin behind the first run.
INSERT INTO readers (name, position) SELECT 'reaction:schedules', head FROM store ON CONFLICT DO NOTHING;
