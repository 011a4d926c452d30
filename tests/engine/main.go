// Command relay is a relay for tests. It uses the library that Centrifugo is built on, with Centrifugo's namespace rules
// and the limits, history and recovery of the production relays. It prints one line with its address, and stops on
// SIGTERM, SIGINT or, with -stdin, at the end of standard input.
package main

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/centrifugal/centrifuge"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

const (
	version      = "6.9.1" // sent to clients: the version of Centrifugo that the engine represents
	endpoint     = "/connection/websocket"
	frameLimit   = 64 << 10        // bytes in one frame from a client
	channelLimit = 128             // channels of one client
	pageLimit    = 300             // publications in one history or recovery reply
	grace        = 2 * time.Second // for closing the clients' connections
)

type options struct {
	listen, certFile, keyFile, token        string
	historySize                             int
	historyTTL                              time.Duration
	pingInterval, pongTimeout, staleTimeout time.Duration
	stdin                                   bool
}

func main() {
	var o options
	flag.StringVar(&o.listen, "listen", "127.0.0.1:0", "`host:port` to listen on; port 0 picks a free one")
	flag.StringVar(&o.certFile, "tls-cert", "", "PEM `file` of the certificate; with -tls-key makes it wss")
	flag.StringVar(&o.keyFile, "tls-key", "", "PEM `file` of the certificate's key")
	flag.StringVar(&o.token, "token", "", "the one connect token that is accepted; any other is refused")
	flag.IntVar(&o.historySize, "history-size", 20, "publications kept of each session channel")
	flag.DurationVar(&o.historyTTL, "history-ttl", 300*time.Second, "how long they are kept, in whole seconds")
	flag.DurationVar(&o.pingInterval, "ping-interval", 25*time.Second, "between pings")
	flag.DurationVar(&o.pongTimeout, "pong-timeout", 8*time.Second, "for a pong; less than -ping-interval")
	flag.DurationVar(&o.staleTimeout, "stale-timeout", 10*time.Second, "for the connect command")
	flag.BoolVar(&o.stdin, "stdin", false, "stop at the end of standard input, so as not to outlive the parent")
	flag.Parse()
	if err := check(o); err != nil {
		fmt.Fprintln(os.Stderr, "relay:", err)
		os.Exit(2)
	}
	if err := run(o); err != nil {
		fmt.Fprintln(os.Stderr, "relay:", err)
		os.Exit(1)
	}
}

func check(o options) error {
	switch {
	case flag.NArg() > 0:
		return fmt.Errorf("unexpected argument %q", flag.Arg(0))
	case (o.certFile == "") != (o.keyFile == ""):
		return errors.New("-tls-cert and -tls-key go together")
	case o.historySize < 1:
		return fmt.Errorf("-history-size %d: at least 1", o.historySize)
	case o.historyTTL < time.Second || o.historyTTL%time.Second != 0:
		return fmt.Errorf("-history-ttl %v: whole seconds, at least 1s", o.historyTTL)
	case o.pongTimeout <= 0 || o.pongTimeout >= o.pingInterval:
		return fmt.Errorf("-pong-timeout %v: more than 0 and less than -ping-interval %v", o.pongTimeout, o.pingInterval)
	case o.staleTimeout <= 0:
		return fmt.Errorf("-stale-timeout %v: more than 0", o.staleTimeout)
	}
	return nil
}

func run(o options) error {
	stopped, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if o.stdin {
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin)
			stop()
		}()
	}

	registry := prometheus.NewRegistry()
	node, err := startNode(o, registry)
	if err != nil {
		return err
	}
	listener, address, err := listen(o)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: routes(node, o, registry), ReadHeaderTimeout: o.staleTimeout}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	fmt.Println("listening", address)

	select {
	case err := <-served:
		return err
	case <-stopped.Done():
	}
	// Stop the node first, so that its clients receive a close code.
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	return errors.Join(node.Shutdown(ctx), server.Close())
}

func startNode(o options, registry *prometheus.Registry) (*centrifuge.Node, error) {
	node, err := centrifuge.New(centrifuge.Config{
		Version:                     version,
		ClientStaleCloseDelay:       o.staleTimeout,
		ClientChannelLimit:          channelLimit,
		HistoryMaxPublicationLimit:  pageLimit,
		RecoveryMaxPublicationLimit: pageLimit,
		HistoryMetaTTL:              streamMetaTTL,
		Metrics:                     centrifuge.MetricsConfig{RegistererGatherer: registry},
	})
	if err != nil {
		return nil, err
	}
	handle(node, namespaces{
		"handshake": {size: 5, ttl: 300 * time.Second},
		"session":   {size: o.historySize, ttl: o.historyTTL},
	}, o.token)
	return node, node.Run()
}

func listen(o options) (net.Listener, string, error) {
	listener, err := net.Listen("tcp", o.listen)
	if err != nil {
		return nil, "", err
	}
	if o.certFile == "" {
		return listener, fmt.Sprintf("ws://%s%s", listener.Addr(), endpoint), nil
	}
	certificate, err := tls.LoadX509KeyPair(o.certFile, o.keyFile)
	if err != nil {
		return nil, "", errors.Join(err, listener.Close())
	}
	config := &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
	return tls.NewListener(listener, config), fmt.Sprintf("wss://%s%s", listener.Addr(), endpoint), nil
}

func routes(node *centrifuge.Node, o options, registry *prometheus.Registry) http.Handler {
	mux := http.NewServeMux()
	mux.Handle(endpoint, centrifuge.NewWebsocketHandler(node, centrifuge.WebsocketConfig{
		// Wallets and dApps have any origin: Centrifugo's allowed_origins is "*".
		CheckOrigin:      func(*http.Request) bool { return true },
		MessageSizeLimit: frameLimit,
		PingPongConfig:   centrifuge.PingPongConfig{PingInterval: o.pingInterval, PongTimeout: o.pongTimeout},
	}))
	mux.Handle("/metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("/connections", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, node.Hub().NumClients())
	})
	return mux
}
