// Command csvimport stores the rows of a CSV file, its standard input, in SQLite. Ctrl-C
// ends it in good order, and it then prints how many records to skip the next time.
package main

import (
	"context"
	"database/sql"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	_ "modernc.org/sqlite"

	"github.com/penstock-go/penstock/deadletter"
	"github.com/penstock-go/penstock/pipeline"
	"github.com/penstock-go/penstock/retry"
	"github.com/penstock-go/penstock/stage"
)

type row struct{ ID, Price int }

func main() {
	db := stage.Must(sql.Open("sqlite", "rows.db"))
	stage.Must(db.Exec("CREATE TABLE IF NOT EXISTS rows (id INTEGER PRIMARY KEY, price INTEGER)"))
	letters := stage.Must(deadletter.NewFile("letters.ndjson", deadletter.FileConfig{}))
	p := pipeline.New(pipeline.Config{Name: "import", DeadLetters: letters})
	records := pipeline.FromRead(p, csv.NewReader(os.Stdin).Read, pipeline.SourceConfig[[]string]{})
	var n atomic.Int64
	rows := pipeline.Map(records, func(_ context.Context, record []string) (row, error) {
		n.Add(1)
		id, err := strconv.Atoi(record[0])
		price, err2 := strconv.Atoi(record[1])
		return row{id, price}, retry.Never(errors.Join(err, err2)) // another attempt mends nothing
	}, pipeline.StepConfig[[]string]{Workers: 4})
	pipeline.EachBatch(rows, func(ctx context.Context, rows []row) error {
		list, err := json.Marshal(rows)
		if err == nil { // one statement: all rows or none
			_, err = db.ExecContext(ctx, "INSERT INTO rows SELECT value->>'ID', value->>'Price' FROM json_each(?)", string(list))
		}
		return err
	}, pipeline.BatchConfig[row]{Size: 500, Timeout: 200 * time.Millisecond, Split: true})
	if err := p.RunUntilSignal(); err != nil {
		log.Fatal(err)
	}
	fmt.Println(n.Load(), "records")
}
