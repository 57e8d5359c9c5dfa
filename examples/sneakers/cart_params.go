package main

import (
	"encoding/json"
	"errors"
	"strings"

	"github.com/penstock-go/penstock/sinks/websocket"
)

// cartParams is what a tab joins with.
type cartParams struct {
	Serialized string `json:"serialized"`
	Page       string `json:"page"`
}

func joinParams(payload websocket.Payload) (p cartParams, err error) {
	err = payload.Decode(&p)
	return p, err
}

// errBadRequest: a payload is not what an event needs.
var errBadRequest = errors.New("bad_request")

// itemID reads the payload of an event about an item. A button's value is a string, and a
// program's number is a number.
func itemID(payload websocket.Payload) (int64, error) {
	var params struct {
		ItemID   json.RawMessage `json:"item_id"`
		Quantity json.RawMessage `json:"quantity"`
	}
	if payload.Decode(&params) != nil {
		return 0, errBadRequest
	}
	if q := string(params.Quantity); q != "" && q != "1" {
		return 0, errQuantity
	}
	return parseID(strings.Trim(string(params.ItemID), `"`))
}

// maxPage bounds the path that a tab says it shows.
const maxPage = 80

// pageName is the path of a page as the admin sees it: no client can make it long.
func pageName(path string) string {
	if !strings.HasPrefix(path, "/") || len(path) > maxPage {
		return "other"
	}
	return path
}
