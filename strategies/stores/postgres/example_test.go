package postgres_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/understudy-go/understudy/strategies"
	"github.com/understudy-go/understudy/strategies/stores/postgres"
)

// sendOnce sends a letter, unless the table says that it was sent.
func sendOnce(ctx context.Context, pool *pgxpool.Pool, letter string) (string, error) {
	store, err := postgres.Open(ctx, pool, postgres.Table("tavern", "journal"))
	if err != nil {
		return "", err
	}
	defer store.Close()
	_, err = store.Put(ctx, strategies.Write{Key: "sent/" + letter, Value: []byte("by raven")})
	switch {
	case errors.Is(err, strategies.ErrConflict):
		return "was sent before", nil
	case err != nil:
		return "", err
	}
	return "sent", nil
}

// What was done stands in a table, and in its backup. The database is yours.
func Example() {
	ctx := context.Background()
	pool, err := pgxpool.New(ctx, "postgres://tavern@10.0.0.1/tavern?sslmode=verify-full")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer pool.Close()
	fmt.Println(sendOnce(ctx, pool, "letter 17"))
}
