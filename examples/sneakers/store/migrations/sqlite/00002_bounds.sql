-- No more pairs can be left than were ever put into stock. SQLite adds a constraint to a new table only.
-- +goose Up
CREATE TABLE item_availabilities_bounded (
    item_id INTEGER PRIMARY KEY REFERENCES items (id),
    available_count INTEGER NOT NULL CHECK (available_count >= 0),
    stocked_count INTEGER NOT NULL CHECK (stocked_count >= 0),
    revision INTEGER NOT NULL DEFAULT 1,
    CHECK (available_count <= stocked_count)
);
INSERT INTO item_availabilities_bounded (item_id, available_count, stocked_count, revision)
SELECT item_id, available_count, stocked_count, revision FROM item_availabilities;
DROP TABLE item_availabilities;
ALTER TABLE item_availabilities_bounded RENAME TO item_availabilities;

-- +goose Down
CREATE TABLE item_availabilities_unbounded (
    item_id INTEGER PRIMARY KEY REFERENCES items (id),
    available_count INTEGER NOT NULL CHECK (available_count >= 0),
    stocked_count INTEGER NOT NULL CHECK (stocked_count >= 0),
    revision INTEGER NOT NULL DEFAULT 1
);
INSERT INTO item_availabilities_unbounded (item_id, available_count, stocked_count, revision)
SELECT item_id, available_count, stocked_count, revision FROM item_availabilities;
DROP TABLE item_availabilities;
ALTER TABLE item_availabilities_unbounded RENAME TO item_availabilities;
