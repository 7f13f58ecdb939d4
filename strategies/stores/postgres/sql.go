package postgres

import (
	"fmt"
	"hash/fnv"
	"strings"

	"github.com/jackc/pgx/v5"
)

// Schema is the SQL that Open runs where the table is not there. "" as schema is the first
// of the connection's search_path.
func Schema(schema, table string) string {
	s := newStatements(schema, table)
	return strings.Join(s.create, ";\n") + ";\n"
}

// statements are the SQL for one table.
type statements struct {
	name    string // of the table, quoted
	channel string
	class   int32 // of advisory locks

	create                                 []string
	get, list, heads, delete, now, sweep   string
	putNew, putAny, putOver, lock, hasBeen string
}

const live = `(expires IS NULL OR expires > clock_timestamp())`

func newStatements(schema, table string) statements {
	quote := func(name string) string {
		if schema == "" {
			return pgx.Identifier{name}.Sanitize()
		}
		return pgx.Identifier{schema, name}.Sanitize()
	}
	t, sequence := quote(table), quote(table+"_revision")
	next := `nextval('` + strings.ReplaceAll(sequence, `'`, `''`) + `')`
	hash := fnv.New64a()
	_, _ = hash.Write([]byte(t))
	s := statements{name: t, channel: fmt.Sprintf("understudy_%016x", hash.Sum64()), class: int32(hash.Sum64())}
	if schema != "" {
		s.create = append(s.create, `CREATE SCHEMA IF NOT EXISTS `+pgx.Identifier{schema}.Sanitize())
	}
	s.create = append(s.create,
		`CREATE SEQUENCE IF NOT EXISTS `+sequence,
		`CREATE TABLE IF NOT EXISTS `+t+` (key bytea PRIMARY KEY, value bytea NOT NULL, revision bigint NOT NULL, expires timestamptz)`,
		`CREATE INDEX IF NOT EXISTS `+pgx.Identifier{table + "_expires"}.Sanitize()+` ON `+t+` (expires) WHERE expires IS NOT NULL`,
	)
	s.hasBeen = `SELECT to_regclass($1) IS NOT NULL`
	s.now = `SELECT clock_timestamp()`
	s.get = `SELECT value, revision, expires FROM ` + t + ` WHERE key = $1 AND ` + live
	// bytea is in the order of bytes, whatever the database's collation.
	where := ` FROM ` + t + ` WHERE key >= $1 AND ($2::bytea IS NULL OR key < $2) AND ` + live + ` ORDER BY key`
	s.list = `SELECT key, value, revision, expires` + where
	s.heads = `SELECT key, ''::bytea, revision, expires` + where

	// Writers of a key take its lock first, in a statement of its own: so the next one sees
	// what the one before has committed, and takes a revision that is higher.
	s.lock = `SELECT pg_advisory_xact_lock($1::int, $2::int)`
	// A notice is sent with the commit, for each row that was written, if there is a channel.
	written := `, said AS (SELECT count(pg_notify($1, encode($2, 'hex'))) AS n FROM done WHERE $1 <> '')
		SELECT revision, expires FROM done, said WHERE said.n >= 0`
	expires := `clock_timestamp() + $4::bigint * interval '1 microsecond'` // NULL for ever
	insert := `WITH done AS (INSERT INTO ` + t + ` AS r (key, value, revision, expires) VALUES ($2, $3, ` + next + `, ` + expires + `)
		ON CONFLICT (key) DO UPDATE SET value = excluded.value, revision = ` + next + `, expires = excluded.expires`
	returning := ` RETURNING revision, expires)` + written
	s.putAny = insert + returning
	s.putNew = insert + ` WHERE r.expires <= clock_timestamp()` + returning
	s.putOver = `WITH done AS (UPDATE ` + t + ` SET value = $3, revision = ` + next + `, expires = ` + expires + `
		WHERE key = $2 AND revision = $5 AND ` + live + returning
	// Both are told: whether there was a record, and whether it went.
	s.delete = `WITH was AS (SELECT revision FROM ` + t + ` WHERE key = $2 AND ` + live + `),
		done AS (DELETE FROM ` + t + ` WHERE key = $2 AND ($3::bigint IS NULL OR revision = $3) AND ` + live + ` RETURNING revision),
		said AS (SELECT count(pg_notify($1, encode($2, 'hex'))) AS n FROM done WHERE $1 <> '')
		SELECT EXISTS (SELECT FROM was), EXISTS (SELECT FROM done) AND said.n >= 0 FROM said`
	s.sweep = `DELETE FROM ` + t + ` WHERE key IN (SELECT key FROM ` + t + ` WHERE expires < clock_timestamp() ORDER BY expires LIMIT 1000 FOR UPDATE SKIP LOCKED)`
	return s
}
