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

// of returns the namespace that channel belongs to, or the error with which Centrifugo turns it away: the namespace is
// looked at first, then the name within it. A channel without a namespace is refused with none: such channels exist in
// Centrifugo, but nothing is allowed or kept in them unless configured, and each command says so in its own way.
func (n namespaces) of(channel string, none *centrifuge.Error) (namespace, error) {
	name, rest, found := strings.Cut(channel, ":")
	if !found {
		return namespace{}, none
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
