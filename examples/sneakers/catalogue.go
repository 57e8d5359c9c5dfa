package main

import (
	"fmt"
	"strings"

	"github.com/penstock-go/penstock/examples/sneakers/store"
)

// sizes are those of every shoe.
var sizes = []string{"7", "8", "9", "10", "11"}

// catalogue returns the shoes of the shop, with so many pairs of each size. The first
// released ones can be bought from the beginning.
func catalogue(pairs, released int) []store.Product {
	products := []store.Product{
		{SKU: "SHU-1", Brand: "Sluice", Name: "Harbor Low", Color: "tide blue", PriceUSD: 120},
		{SKU: "SHU-2", Brand: "Sluice", Name: "Harbor Low", Color: "ember", PriceUSD: 125},
		{SKU: "WEI-1", Brand: "Weir", Name: "Spillway High", Color: "moss", PriceUSD: 165},
		{SKU: "WEI-2", Brand: "Weir", Name: "Spillway High", Color: "plum", PriceUSD: 170},
	}
	for i := range products {
		p := &products[i]
		p.Released = i < released
		p.MainImageURL = "/static/shoes/" + strings.ToLower(p.SKU) + ".svg"
		for _, size := range sizes {
			p.Items = append(p.Items, store.Item{SKU: p.SKU + "-" + size, Size: size, Available: pairs})
		}
	}
	return products
}

// The levels of stock that shoppers see.
const (
	levelOut    = "out"
	levelLow    = "low"
	levelMedium = "medium"
	levelHigh   = "high"
)

// level returns what a count is shown as.
func level(available int) string {
	switch {
	case available <= 0:
		return levelOut
	case available <= 5:
		return levelLow
	case available <= 15:
		return levelMedium
	}
	return levelHigh
}

// levelText is what a level is called on pages.
func levelText(level string) string {
	switch level {
	case levelOut:
		return "sold out"
	case levelLow:
		return "almost gone"
	case levelMedium:
		return "going fast"
	}
	return "in stock"
}

// price writes a price.
func price(usd int) string { return fmt.Sprintf("$%d", usd) }
