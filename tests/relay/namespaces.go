package main

import (
	"regexp"
	"strings"
	"time"

	"github.com/centrifugal/centrifuge"
)

var uuid = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)

// namespace is what the relay keeps of each channel whose name starts with the namespace's own.
type namespace struct {
	size int
	ttl  time.Duration
}

// namespaces holds every namespace of the relay by name.
type namespaces map[string]namespace

// of returns the namespace that channel belongs to, or the error with which Centrifugo turns it away. The order of
// the checks is Centrifugo's: the namespace first, then the name within it.
func (n namespaces) of(channel string) (namespace, error) {
	name, rest, found := strings.Cut(channel, ":")
	if !found {
		// Channels without a namespace exist in Centrifugo, but nothing is allowed in them unless configured.
		return namespace{}, centrifuge.ErrorPermissionDenied
	}
	ns, found := n[name]
	if !found {
		return namespace{}, centrifuge.ErrorUnknownChannel
	}
	if !uuid.MatchString(rest) {
		return namespace{}, centrifuge.ErrorBadRequest
	}
	return ns, nil
}
