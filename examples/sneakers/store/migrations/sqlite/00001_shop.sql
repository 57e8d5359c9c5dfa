-- +goose Up
CREATE TABLE products (
    id INTEGER PRIMARY KEY,
    sku TEXT NOT NULL UNIQUE,
    brand TEXT NOT NULL,
    name TEXT NOT NULL,
    color TEXT NOT NULL,
    price_usd INTEGER NOT NULL CHECK (price_usd > 0),
    main_image_url TEXT NOT NULL,
    released BOOLEAN NOT NULL DEFAULT FALSE
);

CREATE TABLE items (
    id INTEGER PRIMARY KEY,
    product_id INTEGER NOT NULL REFERENCES products (id),
    sku TEXT NOT NULL UNIQUE,
    size TEXT NOT NULL,
    UNIQUE (product_id, size)
);

CREATE TABLE item_availabilities (
    item_id INTEGER PRIMARY KEY REFERENCES items (id),
    available_count INTEGER NOT NULL CHECK (available_count >= 0),
    stocked_count INTEGER NOT NULL CHECK (stocked_count >= 0),
    revision INTEGER NOT NULL DEFAULT 1
);

CREATE TABLE orders (
    id INTEGER PRIMARY KEY,
    cart_id TEXT NOT NULL,
    idempotency_key TEXT NOT NULL,
    total_usd INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    UNIQUE (cart_id, idempotency_key)
);

CREATE TABLE order_items (
    order_id INTEGER NOT NULL REFERENCES orders (id),
    item_id INTEGER NOT NULL REFERENCES items (id),
    price_usd INTEGER NOT NULL,
    PRIMARY KEY (order_id, item_id)
);

CREATE INDEX order_items_item_id ON order_items (item_id);

-- +goose Down
DROP TABLE order_items;
DROP TABLE orders;
DROP TABLE item_availabilities;
DROP TABLE items;
DROP TABLE products;
