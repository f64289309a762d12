-- Inline projection: which progress is a part of which, so that whoever creates one sees under the append lock whether it
-- would become a part of itself.
CREATE TABLE progress_parents (
    tenant    text NOT NULL,
    id        text NOT NULL,
    parent_id text NOT NULL,
    PRIMARY KEY (tenant, id)
);
DO $$
BEGIN
    IF to_regclass('progress') IS NOT NULL THEN
        INSERT INTO progress_parents (tenant, id, parent_id)
        SELECT tenant, id, parent_id FROM progress WHERE parent_id IS NOT NULL;
    END IF;
END $$;
