// SPDX-License-Identifier: MIT
// The rows of a PostgreSQL table as JSON, as examples/web/json_api serves them: net/http, database/sql, and lib/pq, Debian's
// library for PostgreSQL. The query has no parameters, so it is one message to the database, as in json_api.
package main

import (
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	_ "github.com/lib/pq"
)

const (
	connections = 8
	idle        = time.Minute
)

var deadline time.Duration // of a request

func respondError(w http.ResponseWriter, err error) {
	status := http.StatusServiceUnavailable
	if errors.Is(err, sql.ErrNoRows) {
		status = http.StatusNotFound
	} else if errors.Is(err, context.DeadlineExceeded) {
		status = http.StatusGatewayTimeout
	}
	w.WriteHeader(status)
}

func serveItem(db *sql.DB, w http.ResponseWriter, r *http.Request) {
	id, err := strconv.ParseUint(strings.TrimPrefix(r.URL.Path, "/items/"), 10, 64)
	if err != nil || r.Method != http.MethodGet {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), deadline)
	defer cancel()
	var row []byte
	query := fmt.Sprintf("select row_to_json(items) from items where id = %d", id)
	if err := db.QueryRowContext(ctx, query).Scan(&row); err != nil {
		respondError(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(row, '\n'))
}

func main() {
	// The first argument is the database, as that of json_api.
	port := flag.Int("port", 8080, "port to listen on")
	workers := flag.Int("workers", 2, "GOMAXPROCS")
	ms := flag.Int("deadline-ms", 1000, "deadline of a request")
	_ = flag.CommandLine.Parse(os.Args[2:])
	runtime.GOMAXPROCS(*workers)
	deadline = time.Duration(*ms) * time.Millisecond
	db, err := sql.Open("postgres", os.Args[1])
	if err == nil {
		db.SetMaxOpenConns(connections)
		db.SetMaxIdleConns(connections)
		db.SetConnMaxIdleTime(idle)
		http.HandleFunc("/items/", func(w http.ResponseWriter, r *http.Request) { serveItem(db, w, r) })
		err = http.ListenAndServe(fmt.Sprintf("127.0.0.1:%d", *port), nil)
	}
	fmt.Fprintln(os.Stderr, "json_api:", err)
	os.Exit(1)
}
