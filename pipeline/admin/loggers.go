package admin

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
)

// rootLogger is the only one: every line of the process passes it.
const rootLogger = "root"

// LoggerLevel is a logger as GET /admin/loggers/{logger} answers.
type LoggerLevel struct {
	Level string `json:"level"`
	// Modified in milliseconds since 1970; null: as the process was started.
	Modified *int64 `json:"last_modified"`
}

// levels are Kafka Connect's names; the first of each level is the one that is shown.
var levels = []struct {
	name  string
	level slog.Level
}{
	{"DEBUG", slog.LevelDebug},
	{"INFO", slog.LevelInfo},
	{"WARN", slog.LevelWarn},
	{"ERROR", slog.LevelError},
	{"TRACE", slog.LevelDebug},
	{"FATAL", slog.LevelError},
}

// loggers changes the log level of this instance while it runs.
type loggers struct {
	level    *slog.LevelVar // nil: cannot be changed
	modified *atomic.Int64
}

func (l loggers) routes(ro *router) {
	ro.HandleFunc("GET /admin/loggers", func(w http.ResponseWriter, _ *http.Request) {
		all := map[string]LoggerLevel{}
		if l.level != nil {
			all[rootLogger] = l.show()
		}
		write(w, http.StatusOK, all)
	})
	ro.HandleFunc("GET /admin/loggers/{logger}", func(w http.ResponseWriter, r *http.Request) {
		if l.known(w, r) {
			write(w, http.StatusOK, l.show())
		}
	})
	ro.HandleFunc("PUT /admin/loggers/{logger}", l.set)
}

func (l loggers) known(w http.ResponseWriter, r *http.Request) bool {
	if l.level != nil && r.PathValue("logger") == rootLogger {
		return true
	}
	fail(w, http.StatusNotFound, "Logger "+r.PathValue("logger")+" not found.")
	return false
}

func (l loggers) show() LoggerLevel {
	shown := LoggerLevel{Level: l.level.Level().String()}
	for _, known := range levels {
		if known.level == l.level.Level() {
			shown.Level = known.name
			break
		}
	}
	if at := l.modified.Load(); at != 0 {
		shown.Modified = &at
	}
	return shown
}

// set is PUT /admin/loggers/{logger}: the body is {"level": NAME}, the answer the
// names of the loggers that were changed.
func (l loggers) set(w http.ResponseWriter, r *http.Request) {
	if !l.known(w, r) {
		return
	}
	if scope := r.URL.Query().Get("scope"); scope != "" && scope != "worker" {
		fail(w, http.StatusBadRequest, "scope="+scope+": a level is set in one instance; ask each of them, GET /status lists their addresses")
		return
	}
	var body struct {
		Level string `json:"level"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<10)).Decode(&body); err != nil || body.Level == "" {
		fail(w, http.StatusBadRequest, "Desired 'level' parameter was not specified in request.")
		return
	}
	for _, known := range levels {
		if strings.EqualFold(known.name, body.Level) {
			l.level.Set(known.level)
			l.modified.Store(time.Now().UnixMilli())
			write(w, http.StatusOK, []string{rootLogger})
			return
		}
	}
	fail(w, http.StatusNotFound, "invalid log level '"+body.Level+"'.")
}
