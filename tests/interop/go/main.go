// A consumer on indigo's stream package: the code that `goat firehose` and the Go relay consume with.
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	comatproto "github.com/bluesky-social/indigo/api/atproto"
	"github.com/bluesky-social/indigo/events"
	"github.com/bluesky-social/indigo/events/schedulers/sequential"
	"github.com/gorilla/websocket"
)

// docs: begin
func consume(service string, cursor string) (last string, isRefused bool) {
	last = cursor
	url := service + "/xrpc/com.atproto.sync.subscribeRepos" // "ws://127.0.0.1:2480"
	if cursor != "" {
		url += "?cursor=" + cursor
	}
	connection, _, err := websocket.DefaultDialer.Dial(url, nil)
	if err != nil {
		return last, false
	}
	handle := func(kind string, seq int64, event any) error {
		report(kind, event)
		last = fmt.Sprint(seq)
		return nil
	}
	callbacks := &events.RepoStreamCallbacks{
		RepoCommit:   func(e *comatproto.SyncSubscribeRepos_Commit) error { return handle("#commit", e.Seq, e) },
		RepoSync:     func(e *comatproto.SyncSubscribeRepos_Sync) error { return handle("#sync", e.Seq, e) },
		RepoIdentity: func(e *comatproto.SyncSubscribeRepos_Identity) error { return handle("#identity", e.Seq, e) },
		RepoAccount:  func(e *comatproto.SyncSubscribeRepos_Account) error { return handle("#account", e.Seq, e) },
		RepoInfo:     func(e *comatproto.SyncSubscribeRepos_Info) error { return reportInfo(e) },
		Error: func(e *events.ErrorFrame) error {
			isRefused = true
			return reportError(e)
		},
	}
	// In order, one at a time. It returns when the connection has ended: dialling again is ours to do.
	scheduler := sequential.NewScheduler("standpipe", callbacks.EventHandler)
	events.HandleRepoStream(context.Background(), connection, scheduler, nil)
	return last, isRefused
}

// docs: end

func main() {
	service, cursor := os.Args[1], os.Args[2]
	if cursor == "none" {
		cursor = ""
	}
	for isRefused := false; !isRefused; time.Sleep(time.Second) {
		cursor, isRefused = consume(service, cursor)
	}
}
