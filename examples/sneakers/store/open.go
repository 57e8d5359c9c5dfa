package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	driver "modernc.org/sqlite" // "sqlite"
	codes "modernc.org/sqlite/lib"
)

// connections bounds those to PostgreSQL, and so the transactions at once.
const connections = 16

// Open opens a database and brings its tables up to date: PostgreSQL for a URL that begins
// with postgres:// or postgresql://, otherwise the SQLite file of that path, which is made
// if it does not exist. The error is ErrNewer for the database of a later release. Errors do
// not have the password of a URL.
func Open(ctx context.Context, database string) (s *Store, err error) {
	if isPostgres(database) {
		s, err = openPostgres(database)
	} else {
		unlock, lockErr := lockSQLite(ctx, database)
		if lockErr != nil {
			return nil, lockErr
		}
		defer unlock()
		s, err = openSQLite(database)
	}
	if err != nil {
		return nil, err
	}
	if err := s.migrate(ctx); err != nil {
		_ = s.Close()
		return nil, err
	}
	return s, nil
}

func isPostgres(database string) bool {
	return strings.HasPrefix(database, "postgres://") || strings.HasPrefix(database, "postgresql://")
}

func openPostgres(database string) (*Store, error) {
	cfg, err := pgx.ParseConfig(database)
	if err != nil {
		// pgx's own text has the URL, with what it takes for the password left out; if it
		// cannot be parsed at all that may fail.
		return nil, fmt.Errorf("store: not the URL of a PostgreSQL: postgres://user:password@host:port/name")
	}
	db := stdlib.OpenDB(*cfg)
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	return &Store{write: db, read: db, name: "postgres"}, nil
}

// lockTime bounds how long a process waits until another one has migrated the database, as
// migrator has it for PostgreSQL.
const lockTime = 300 * time.Second

// busyTime is how long SQLite tries to get its lock, for a statement or a transaction. It tries
// again from time to time, so that a process which writes all the time can have it each time.
var busyTime = 10 * time.Second // changed by tests

// sqlite returns up to n connections to a file.
func sqlite(path string, n int, pragmas ...string) (*sql.DB, error) {
	// First of all, so that the others wait too.
	q := url.Values{"_txlock": {"immediate"}, "_pragma": append([]string{fmt.Sprintf("busy_timeout(%d)", busyTime.Milliseconds())}, pragmas...)}
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: q.Encode()}).String())
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(n)
	db.SetMaxIdleConns(n)
	return db, nil
}

// lockSQLite waits until no other process migrates the file. The lock is a transaction on a
// file beside it, which ends with the process that holds it: migrations run in several
// transactions, and the first connection changes the file's journal.
func lockSQLite(ctx context.Context, path string) (unlock func(), err error) {
	db, err := sqlite(path+"-lock", 1)
	if err != nil {
		return nil, err
	}
	var tx *sql.Tx
	if err := whileBusy(ctx, func() (err error) { tx, err = db.BeginTx(ctx, nil); return err }); err != nil {
		_ = db.Close()
		return nil, fmt.Errorf("store: %w", err)
	}
	return func() {
		_ = tx.Rollback() // it has changed nothing
		_ = db.Close()
	}, nil
}

// whileBusy calls f again, for at most lockTime, if it fails because another process has the lock
// of SQLite. It is called several times also since ctx does not end the wait of one call.
func whileBusy(ctx context.Context, f func() error) error {
	for begun := time.Now(); ; {
		err := f()
		if busy, ok := errors.AsType[*driver.Error](err); !ok || busy.Code()&0xff != codes.SQLITE_BUSY {
			return err
		}
		if ctx.Err() != nil || time.Since(begun) > lockTime {
			return err
		}
	}
}

func openSQLite(path string) (*Store, error) {
	pragmas := []string{"journal_mode(WAL)", "synchronous(NORMAL)", "foreign_keys(1)"}
	write, err := sqlite(path, 1, pragmas...)
	if err != nil {
		return nil, err
	}
	read, err := sqlite(path, 4, pragmas...)
	if err != nil {
		_ = write.Close()
		return nil, err
	}
	return &Store{write: write, read: read, name: "sqlite"}, nil
}
