/*
 * Copies what each connection sends to all others, and knows nothing else: no lines, no events, no
 * limits. What any server must pay for moving the bytes, and so the limit for all of them.
 *
 * Usage: copier PORT [echo]    "echo" sends it back to the sender, too
 */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

/* Just under 64 KiB: what fits into one socket buffer of the kernel is a third cheaper to pass on. */
enum { READ_BYTES = 61440, MAX_EVENTS = 256 };

/* What a peer's socket had no room for. */
struct peer {
  int fd;
  int index;
  char *pending;
  size_t start, end, capacity;
};

static int epoll_fd, listen_fd, echo;
static struct peer **peers;
static int peer_count, peer_capacity;
static char chunk[READ_BYTES];

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static void watch(struct peer *peer, unsigned events, int operation) {
  struct epoll_event event = {.events = events, .data.ptr = peer};
  if (epoll_ctl(epoll_fd, operation, peer ? peer->fd : listen_fd, &event)) fail("epoll_ctl");
}

static void accept_all(void) {
  for (;;) {
    int fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) return;
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (peer_count == peer_capacity) {
      peer_capacity = peer_capacity ? 2 * peer_capacity : 64;
      peers = realloc(peers, peer_capacity * sizeof *peers);
    }
    struct peer *peer = calloc(1, sizeof *peer);
    if (!peers || !peer) fail("malloc");
    peer->fd = fd;
    peer->index = peer_count;
    peers[peer_count++] = peer;
    watch(peer, EPOLLIN, EPOLL_CTL_ADD);
  }
}

static void drop(struct peer *peer) {
  close(peer->fd);
  peer->fd = -1;
  peers[peer->index] = peers[--peer_count];
  peers[peer->index]->index = peer->index;
  free(peer->pending);
  free(peer);
}

static void keep(struct peer *peer, const char *bytes, size_t length) {
  if (peer->end == 0) watch(peer, EPOLLIN | EPOLLOUT, EPOLL_CTL_MOD);
  if (peer->end + length > peer->capacity) {
    peer->capacity = 2 * (peer->end + length);
    peer->pending = realloc(peer->pending, peer->capacity);
    if (!peer->pending) fail("realloc");
  }
  memcpy(peer->pending + peer->end, bytes, length);
  peer->end += length;
}

static void deliver(struct peer *peer, const char *bytes, size_t length) {
  ssize_t sent = 0;
  if (peer->end == 0) {
    sent = send(peer->fd, bytes, length, MSG_NOSIGNAL);
    if (sent < 0) sent = 0; /* no room, or an end that the next read will tell */
  }
  if ((size_t)sent < length) keep(peer, bytes + sent, length - sent);
}

static void flush(struct peer *peer) {
  ssize_t sent = send(peer->fd, peer->pending + peer->start, peer->end - peer->start, MSG_NOSIGNAL);
  if (sent > 0) peer->start += sent;
  if (peer->start < peer->end) return;
  free(peer->pending);
  peer->pending = NULL;
  peer->start = peer->end = peer->capacity = 0;
  watch(peer, EPOLLIN, EPOLL_CTL_MOD);
}

static void receive(struct peer *source) {
  ssize_t length = read(source->fd, chunk, sizeof chunk);
  if (length < 0 && errno == EAGAIN) return;
  if (length <= 0) {
    drop(source);
    return;
  }
  for (int i = 0; i < peer_count; i++) {
    if (peers[i] != source || echo) deliver(peers[i], chunk, length);
  }
}

int main(int argc, char **argv) {
  if (argc < 2) return fprintf(stderr, "usage: copier PORT [echo]\n"), 2;
  echo = argc > 2;
  signal(SIGPIPE, SIG_IGN);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[1]))};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  int one = 1;
  setsockopt(listen_fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (bind(listen_fd, (struct sockaddr *)&address, sizeof address)) fail("bind");
  if (listen(listen_fd, 4096)) fail("listen");
  epoll_fd = epoll_create1(EPOLL_CLOEXEC);
  watch(NULL, EPOLLIN, EPOLL_CTL_ADD);
  for (;;) {
    struct epoll_event events[MAX_EVENTS];
    int count = epoll_wait(epoll_fd, events, MAX_EVENTS, -1);
    for (int i = 0; i < count; i++) {
      struct peer *peer = events[i].data.ptr;
      if (!peer) accept_all();
      else if (events[i].events & EPOLLOUT) flush(peer);
      if (peer && events[i].events & ~EPOLLOUT) receive(peer);
    }
  }
}
