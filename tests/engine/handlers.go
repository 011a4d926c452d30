package main

import (
	"context"
	"strings"
	"time"

	"github.com/centrifugal/centrifuge"
)

// streamMetaTTL is how long a channel keeps its epoch and offset after its publications: Centrifugo's default.
const streamMetaTTL = 30 * 24 * time.Hour

// handle makes the node answer as Centrifugo does with these namespaces, anonymous access and, if token is not empty,
// this token.
func handle(node *centrifuge.Node, channels namespaces, token string) {
	node.OnConnecting(func(_ context.Context, e centrifuge.ConnectEvent) (centrifuge.ConnectReply, error) {
		if e.Token != "" && e.Token != token {
			return centrifuge.ConnectReply{}, centrifuge.DisconnectInvalidToken
		}
		// The empty user is Centrifugo's anonymous user.
		credentials := &centrifuge.Credentials{UserID: ""}
		return centrifuge.ConnectReply{Credentials: credentials, ClientSideRefresh: true}, nil
	})
	// No handler for RPC: the library then answers 108, as Centrifugo does without a configured proxy.
	node.OnConnect(func(client *centrifuge.Client) {
		client.OnSubscribe(func(e centrifuge.SubscribeEvent, answer centrifuge.SubscribeCallback) {
			_, err := channels.of(e.Channel, centrifuge.ErrorPermissionDenied)
			if err == nil && (e.Token != "" || strings.HasPrefix(e.Channel, private)) {
				err = centrifuge.ErrorPermissionDenied // no subscription token is valid here
			}
			answer(centrifuge.SubscribeReply{Options: centrifuge.SubscribeOptions{
				EnablePositioning: true,
				EnableRecovery:    true,
				HistoryMetaTTL:    streamMetaTTL,
			}}, err)
		})
		// Tokens here do not expire, so none can be renewed. The library refuses an empty one.
		client.OnRefresh(func(_ centrifuge.RefreshEvent, answer centrifuge.RefreshCallback) {
			answer(centrifuge.RefreshReply{}, centrifuge.DisconnectInvalidToken)
		})
		client.OnPublish(func(e centrifuge.PublishEvent, answer centrifuge.PublishCallback) {
			answer(publish(node, channels, e))
		})
		client.OnHistory(func(e centrifuge.HistoryEvent, answer centrifuge.HistoryCallback) {
			_, err := channels.of(e.Channel, centrifuge.ErrorNotAvailable)
			answer(centrifuge.HistoryReply{}, err)
		})
		client.OnPresence(func(e centrifuge.PresenceEvent, answer centrifuge.PresenceCallback) {
			answer(centrifuge.PresenceReply{}, channels.withoutPresence(e.Channel))
		})
		client.OnPresenceStats(func(e centrifuge.PresenceStatsEvent, answer centrifuge.PresenceStatsCallback) {
			answer(centrifuge.PresenceStatsReply{}, channels.withoutPresence(e.Channel))
		})
	})
}

// publish stores and pushes before it replies: a subscribed publisher receives its own publication first.
func publish(
	node *centrifuge.Node, channels namespaces, e centrifuge.PublishEvent,
) (centrifuge.PublishReply, error) {
	ns, err := channels.of(e.Channel, centrifuge.ErrorPermissionDenied)
	if err != nil {
		return centrifuge.PublishReply{}, err
	}
	if len(e.Data) == 0 {
		return centrifuge.PublishReply{}, centrifuge.ErrorBadRequest
	}
	result, err := node.Publish(
		e.Channel, e.Data,
		centrifuge.WithHistory(ns.size, ns.ttl, streamMetaTTL),
		centrifuge.WithClientInfo(e.ClientInfo),
	)
	return centrifuge.PublishReply{Result: &result}, err
}

// withoutPresence returns the error for a presence command, since no namespace here has presence.
func (n namespaces) withoutPresence(channel string) error {
	if _, err := n.of(channel, centrifuge.ErrorNotAvailable); err != nil {
		return err
	}
	return centrifuge.ErrorNotAvailable
}
