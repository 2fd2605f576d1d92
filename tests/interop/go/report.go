package main

import (
	"bufio"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"os"
	"strconv"

	comatproto "github.com/bluesky-social/indigo/api/atproto"
	"github.com/bluesky-social/indigo/events"
)

var reported int

func write(line any) {
	text, err := json.Marshal(line)
	if err != nil {
		panic(err)
	}
	os.Stdout.Write(append(text, '\n'))
}

// plain replaces the bytes in a decoded event by their hash.
func plain(value any) any {
	switch value := value.(type) {
	case []any:
		for n := range value {
			value[n] = plain(value[n])
		}
	case map[string]any:
		if text, ok := value["$bytes"].(string); ok {
			bytes, err := base64.RawStdEncoding.DecodeString(text)
			if err != nil {
				panic(err)
			}
			hash := sha256.Sum256(bytes)
			return map[string]any{"$sha256": hex.EncodeToString(hash[:])}
		}
		for key := range value {
			value[key] = plain(value[key])
		}
	}
	return value
}

// report prints an event. After event INTEROP_PAUSE_AFTER the consumer takes nothing until a line
// comes on standard input.
func report(kind string, event any) {
	text, err := json.Marshal(event)
	if err != nil {
		panic(err)
	}
	var body any
	if err := json.Unmarshal(text, &body); err != nil {
		panic(err)
	}
	write(map[string]any{"event": map[string]any{"t": kind, "body": plain(body)}})
	reported++
	if limit, _ := strconv.Atoi(os.Getenv("INTEROP_PAUSE_AFTER")); limit == reported {
		write(map[string]any{"paused": true})
		bufio.NewReader(os.Stdin).ReadString('\n')
	}
}

func reportInfo(info *comatproto.SyncSubscribeRepos_Info) error {
	write(map[string]any{"info": info})
	return nil
}

func reportError(frame *events.ErrorFrame) error {
	write(map[string]any{"error": frame.Error + ": " + frame.Message})
	return nil
}
