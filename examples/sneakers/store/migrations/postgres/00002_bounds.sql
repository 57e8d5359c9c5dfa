-- No more pairs can be left than were ever put into stock.
-- +goose Up
ALTER TABLE item_availabilities ADD CONSTRAINT item_availabilities_bounds CHECK (available_count <= stocked_count);

-- +goose Down
ALTER TABLE item_availabilities DROP CONSTRAINT item_availabilities_bounds;
