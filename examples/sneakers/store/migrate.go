package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

//go:embed migrations
var migrations embed.FS

// ErrNewer: the database has tables of a later release of this program.
var ErrNewer = errors.New("store: the database is newer than this program")

// migrator returns what brings the tables of a kind of database up to date.
func migrator(kind string, db *sql.DB) (*goose.Provider, error) {
	files, err := fs.Sub(migrations, "migrations/"+kind)
	if err != nil {
		return nil, err
	}
	if kind != "postgres" {
		return goose.NewProvider(goose.DialectSQLite3, db, files)
	}
	// Of nodes that start together one migrates; the others look each second whether it is done.
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 300))
	if err != nil {
		return nil, err
	}
	return goose.NewProvider(goose.DialectPostgres, db, files, goose.WithSessionLocker(locker))
}

// migrate brings the tables up to date. Each migration is a transaction, so that one that
// fails, or whose process dies, has changed nothing. The error is ErrNewer if the tables are
// of a later release, whose rules this one would not know.
func (s *Store) migrate(ctx context.Context) error {
	m, err := migrator(s.name, s.write)
	if err != nil {
		return err
	}
	// Does nothing to a database that is newer. A node of the earlier release that sells may keep
	// a migration from SQLite's lock: nothing has changed then.
	if err := whileBusy(ctx, func() error { _, err := m.Up(ctx); return err }); err != nil {
		return fmt.Errorf("store: migrations: %w", err)
	}
	sources := m.ListSources()
	known := sources[len(sources)-1].Version
	var version int64
	if err := s.write.QueryRowContext(ctx, `SELECT max(version_id) FROM goose_db_version`).Scan(&version); err != nil {
		return fmt.Errorf("store: migrations: %w", err)
	}
	if version > known {
		return fmt.Errorf("%w: its tables have version %d, and this program knows %d: use the later release", ErrNewer, version, known)
	}
	return nil
}
