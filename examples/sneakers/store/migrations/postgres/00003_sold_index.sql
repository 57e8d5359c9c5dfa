-- The index has the order of each pair, so that counting what was sold, and finding the last
-- order of a size, read no table of pairs.
-- +goose Up
DROP INDEX order_items_item_id;
CREATE INDEX order_items_item_id_order_id ON order_items (item_id, order_id);

-- +goose Down
DROP INDEX order_items_item_id_order_id;
CREATE INDEX order_items_item_id ON order_items (item_id);
