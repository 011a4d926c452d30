package main

import (
	"regexp"
	"strings"
	"time"

	"github.com/centrifugal/centrifuge"
)

var uuid = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)

// namespace is the history that the relay keeps of each channel of the namespace.
type namespace struct {
	size int
	ttl  time.Duration
}

// namespaces maps the name of each namespace to its settings.
type namespaces map[string]namespace

// of returns the namespace of a channel, or the error of Centrifugo: it checks the namespace first, then the name in it.
// A channel without a namespace fails with the error none: Centrifugo allows nothing in such channels unless configured,
// and each command has its own error for that.
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
