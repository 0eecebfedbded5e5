package stytch

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"
)

const (
	headerTimeout = 10 * time.Second
	stopGrace     = 2 * time.Second
)

// Serve serves a simulator at an address ("127.0.0.1:0" for any free port) until
// stop is called or ctx ends. stop lets requests in flight end for two seconds, cuts
// those that a fault lets hang, and returns when nothing runs any more.
func Serve(ctx context.Context, addr string, s *Simulator) (net.Addr, func(), error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, nil, fmt.Errorf("listen for the Stytch simulator: %w", err)
	}
	base, cancel := context.WithCancel(ctx)
	server := &http.Server{
		Handler: s, ReadHeaderTimeout: headerTimeout,
		BaseContext: func(net.Listener) context.Context { return base },
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			s.options.Logger.Error("the Stytch simulator stopped serving", "error", err)
		}
	}()
	var once sync.Once
	stop := func() {
		once.Do(func() {
			cancel()
			grace, release := context.WithTimeout(context.WithoutCancel(ctx), stopGrace)
			defer release()
			if server.Shutdown(grace) != nil {
				// Grace is over: what is left is cut.
				_ = server.Close()
			}
			<-done
		})
		<-done
	}
	context.AfterFunc(ctx, stop)
	return listener.Addr(), stop, nil
}
