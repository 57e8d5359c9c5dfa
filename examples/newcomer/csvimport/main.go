// Command csvimport stores the rows of a CSV file, its standard input, in SQLite. Ctrl-C
// ends it in good order, and it then prints how many records to skip the next time.
package main

import (
	"context"
	"database/sql"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"strconv"
	"time"

	_ "modernc.org/sqlite"

	"github.com/penstock-go/penstock/deadletter"
	"github.com/penstock-go/penstock/pipeline"
	"github.com/penstock-go/penstock/retry"
	"github.com/penstock-go/penstock/stage"
)

type row struct{ ID, Price int }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	db := stage.Must(sql.Open("sqlite", "rows.db"))
	stage.Must(db.Exec("CREATE TABLE IF NOT EXISTS rows (id INTEGER PRIMARY KEY, price INTEGER)"))
	letters := stage.Must(deadletter.NewFile("letters.ndjson", deadletter.FileConfig{}))
	p := pipeline.New(pipeline.Config{Name: "import", DeadLetters: letters})
	n, in := 0, csv.NewReader(os.Stdin)
	records := pipeline.FromSeq2(p, func(yield func([]string, error) bool) {
		for record, err := in.Read(); err != io.EOF; record, err = in.Read() {
			if n++; !yield(record, err) {
				return // Ctrl-C: this record is the last one that is handled
			}
		}
	}, pipeline.SourceConfig[[]string]{})
	rows := pipeline.Map(records, func(_ context.Context, record []string) (row, error) {
		id, err := strconv.Atoi(record[0])
		price, err2 := strconv.Atoi(record[1])
		return row{id, price}, retry.Never(errors.Join(err, err2)) // another attempt mends nothing
	}, pipeline.StepConfig[[]string]{Workers: 4})
	pipeline.EachBatch(rows, func(ctx context.Context, rows []row) error {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		defer tx.Rollback()
		for _, r := range rows {
			if _, err := tx.ExecContext(ctx, "INSERT INTO rows VALUES (?, ?)", r.ID, r.Price); err != nil {
				return err
			}
		}
		return tx.Commit()
	}, pipeline.BatchConfig[row]{Size: 500, Timeout: 200 * time.Millisecond, Split: true})
	if err := p.Run(ctx); err != nil {
		log.Fatal(err)
	}
	fmt.Println(n, "records")
}
