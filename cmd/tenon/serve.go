package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/tenon-ml/tenon/internal/config"
)

// serveFlags are the flags of serve that stand for a key of config.yaml.
var serveFlags = []struct{ flag, key, usage string }{
	{"listen", "server.listen", "address to listen on (default 127.0.0.1:8080)"},
	{"registry", "registry.root", "folder of the registry (default var/registry)"},
	{"log-level", "log.level", "debug, info, warn or error (default info)"},
}

func serveCommand(io streams, open engineOpener) *cobra.Command {
	c := &cobra.Command{
		Use:   "serve",
		Short: "Serve the models of a registry",
		Args:  arguments(0, 0),
	}
	flags := c.Flags()
	file := flags.String("config", "config.yaml", "settings; every key is explained in the one that ships with tenon")
	for _, f := range serveFlags {
		flags.String(f.flag, "", f.usage)
	}
	flags.Bool("allow-unauthenticated", false, "listen where other machines can reach, although nobody has to say who they are")
	c.RunE = func(c *cobra.Command, _ []string) error {
		settings, err := readConfig(c, *file)
		if err != nil {
			return err
		}
		if err := settings.Validate(); err != nil {
			return usageError{err}
		}
		return serve(c.Context(), settings, io, open)
	}
	return c
}

// readConfig reads the settings, with the flags of c that stand for one;
// mistakes in them are usage errors.
func readConfig(c *cobra.Command, file string) (config.Config, error) {
	given := map[string]string{}
	for _, f := range serveFlags {
		if c.Flags().Changed(f.flag) {
			given[f.key] = c.Flag(f.flag).Value.String()
		}
	}
	if c.Flags().Changed("allow-unauthenticated") {
		given["server.allow_unauthenticated"] = c.Flag("allow-unauthenticated").Value.String()
	}
	settings, err := config.Load(config.Source{
		File: file, FileRequired: c.Flags().Changed("config"), Env: os.LookupEnv, Flags: given,
	})
	if err != nil {
		return settings, usageError{err}
	}
	return settings, nil
}

// serve listens until ctx ends, then drains.
func serve(ctx context.Context, c config.Config, io streams, open engineOpener) error {
	log := newLog(c.Log, io.err)
	e, err := open(c.Runtime.Library)
	if err != nil {
		return err
	}
	executable, err := ownPath()
	if err != nil {
		return err
	}
	workers, err := newWorkers(executable, c.Runtime.Library, e, c.Runtime.MaxConcurrentRuns, log)
	if err != nil {
		return err
	}
	s, err := build(c, e, workers, &examiner{
		executable: executable, library: c.Runtime.Library, threads: c.Runtime.IntraOpThreads, timeout: c.Examination.Timeout,
	}, log)
	if err != nil {
		return err
	}
	defer s.close(log)
	listener, err := net.Listen("tcp", c.Server.Listen)
	if err != nil {
		return fmt.Errorf("the address %s cannot be listened on: %w; choose another with --listen", c.Server.Listen, err)
	}
	log.Info("listening", "address", listener.Addr().String(), "registry", c.Registry.Root,
		"engine", e.Version(), "version", version)
	return s.run(ctx, listener, c.Server, log)
}

// run serves while the live versions load, and drains when ctx ends.
func (s *server) run(ctx context.Context, listener net.Listener, c config.Server, log *slog.Logger) error {
	front := &http.Server{
		Handler:           s.handler,
		ReadHeaderTimeout: c.ReadHeaderTimeout,
		ReadTimeout:       c.ReadTimeout,       // uploads have their own
		WriteTimeout:      2 * c.UploadTimeout, // from the header on: an upload that took all its time is still answered
		IdleTimeout:       c.IdleTimeout,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	failed := make(chan error, 1)
	go func() { failed <- front.Serve(listener) }()
	loading, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	resumed := make(chan struct{})
	go func() {
		defer close(resumed)
		s.resume(loading, log)
	}()
	select {
	case err := <-failed:
		return fmt.Errorf("the server stopped: %w", err)
	case <-ctx.Done():
	}
	log.Info("draining", "timeout", c.DrainTimeout.String())
	stop()
	err := drain(front, c.DrainTimeout)
	<-resumed
	if err == nil {
		log.Info("stopped")
	}
	return err
}

func (s *server) resume(ctx context.Context, log *slog.Logger) {
	started := time.Now()
	switch err := s.manager.Resume(ctx); {
	case err == nil:
		log.Info("ready", "loaded", s.host.Gauges().Loaded, "seconds", time.Since(started).Seconds())
	case errors.Is(err, context.Canceled):
	default:
		log.Error("the registry could not be read; the server is alive, but will not become ready", "error", err)
	}
}

// drain lets the requests that run end, and cuts off those that outlast the
// timeout.
func drain(front *http.Server, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	err := front.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		_ = front.Close()
		return fmt.Errorf("requests were still running after %s (server.drain_timeout) and were cut off", timeout)
	}
	return err
}
