package main

import (
	"context"
	"encoding/json"
	"strconv"
	"time"

	"github.com/penstock-go/penstock/examples/sneakers/store"
)

// adminPage is what the admin's page shows when it is loaded. Its script goes on from there;
// without one, or before it is connected, the figures are those of that moment.
type adminPage struct {
	Token, CSRF string
	Figures     figures
	Audience    audience
	Pages       []pageRow
	Sales       salesChart
	Products    []adminProduct
}

// audience is who is here, counted from the presence of all carts.
type audience struct {
	Shoppers, Tabs, InCarts int
	pages                   map[string]int // tabs by path
	items                   map[int64]int  // carts by item
}

// audience counts who is here, as the page's script does.
func (a *app) audience() audience {
	state := a.tracker.List(trackerTopic)
	n := audience{Shoppers: len(state), pages: make(map[string]int), items: make(map[int64]int)}
	for _, shopper := range state {
		var m meta
		for _, data := range shopper.Metas {
			m = meta{}
			_ = json.Unmarshal(data, &m) // written by cartChannel
			n.Tabs++
			n.pages[m.Page]++
		}
		n.InCarts += len(m.Items) // all tabs have the same
		for _, id := range m.Items {
			n.items[id]++
		}
	}
	return n
}

// pageRow is a bar: how many tabs show a page.
type pageRow struct {
	Path, Name string
	Tabs       int
	Width      float64 // percent of the largest
}

// pageRows returns a row for each page of the shop, from the entrance to the till. What
// clients call their page otherwise is counted in the last.
func pageRows(products []*store.Product, n audience) []pageRow {
	rows := []pageRow{{Path: "/", Name: "Releases"}}
	for _, p := range products {
		rows = append(rows, pageRow{Path: "/products/" + strconv.FormatInt(p.ID, 10), Name: p.Name + ", " + p.Color})
	}
	rows = append(rows, pageRow{Path: "/cart", Name: "Cart"}, pageRow{Path: "/checkout", Name: "Checkout"},
		pageRow{Path: "/checkout/complete", Name: "Order complete"}, pageRow{Path: "", Name: "Other pages"})
	other, most := n.Tabs, 1
	for i := range rows {
		r := &rows[i]
		if r.Tabs = n.pages[r.Path]; r.Path == "" {
			r.Tabs = other
		}
		other -= r.Tabs
		most = max(most, r.Tabs)
	}
	for i := range rows {
		rows[i].Width = percent(rows[i].Tabs, most)
	}
	return rows
}

// salesChart is the last minute's sales, a bar for each second.
type salesChart struct {
	End         int64 // the last second, in unix time
	Total, Most int
	Bars        []saleBar
}

// saleBar is one second in a picture of 600 by 100.
type saleBar struct {
	X, Pairs  int
	Y, Height float64
}

// chartSeconds is how much the chart shows.
const chartSeconds = 60

// chartOf draws the sales by second until end.
func chartOf(sales map[int64]int, end int64) salesChart {
	c := salesChart{End: end}
	for i := range chartSeconds {
		pairs := sales[end-chartSeconds+1+int64(i)]
		c.Total, c.Most = c.Total+pairs, max(c.Most, pairs)
		c.Bars = append(c.Bars, saleBar{X: 10 * i, Pairs: pairs})
	}
	for i := range c.Bars {
		b := &c.Bars[i]
		b.Height = percent(b.Pairs, c.Most)
		b.Y = 100 - b.Height
	}
	return c
}

// adminProduct is a shoe with a row for each size.
type adminProduct struct {
	*store.Product
	Sizes []sizeRow
}

// sizeRow is the bars of a size: what is left, and in how many carts it is.
type sizeRow struct {
	ID                    int64
	Size, Level           string
	Left, Carts           int
	LeftWidth, CartsWidth float64 // percent of the largest stock
}

// adminProducts returns the shoes with their bars. The longest stands for the most pairs of
// one size, or for what a size has had on average, if that is more.
func adminProducts(products []*store.Product, stocked int, n audience) (rows []adminProduct) {
	most, items := 0, 0
	for _, p := range products {
		for _, it := range p.Items {
			items++
			most = max(most, it.Available)
		}
	}
	if items > 0 {
		most = max(most, (stocked+items-1)/items)
	}
	for _, p := range products {
		row := adminProduct{Product: p}
		for _, it := range p.Items {
			carts := n.items[it.ID]
			row.Sizes = append(row.Sizes, sizeRow{ID: it.ID, Size: it.Size, Level: level(it.Available), Left: it.Available, Carts: carts,
				LeftWidth: percent(it.Available, most), CartsWidth: percent(carts, most)})
		}
		rows = append(rows, row)
	}
	return rows
}

// percent returns a part of a whole, at most all of it.
func percent(part, whole int) float64 {
	if whole <= 0 {
		return 0
	}
	return min(100, float64(1000*part/whole)/10)
}

// adminPage reads what the admin's page shows.
func (a *app) adminPage(ctx context.Context) (page adminPage, err error) {
	if page.Token, err = a.signer.text(saltAdmin, adminName, adminAge); err != nil {
		return page, err
	}
	if page.CSRF, err = a.signer.text(saltForm, adminName, formAge); err != nil {
		return page, err
	}
	if page.Figures, err = a.figures(ctx); err != nil {
		return page, err
	}
	now := time.Now()
	sales, err := a.store.Sales(ctx, now.Add(-chartSeconds*time.Second))
	products := a.inventory.Products()
	page.Audience = a.audience()
	page.Sales = chartOf(sales, now.Unix())
	page.Pages, page.Products = pageRows(products, page.Audience), adminProducts(products, page.Figures.Stocked, page.Audience)
	return page, err
}
