/* SPDX-License-Identifier: MIT */
/* https_server: serves the files of the folder in which it is started, over HTTP/1.1 and TLS.
 *
 * It shows sessions of TLS as byte streams (tn/tls.h) in the handlers of tn_serve, with a deadline for the handshake. SIGHUP
 * reads the certificates again. It serves parts of files, conditional requests (ETag, Last-Modified), and compresses texts
 * (zlib, in chunks). `POST /length` returns how many bytes a body has, also one in chunks or after 100 Continue. Each request
 * is a line on standard output, at most 100 ms later. What it knows of a file is used for a second
 * (file_cache.h).
 *
 * Run:   https_server --certificate server.crt --key server.key --port 8443
 *        (`--authorities FILE`: clients need a certificate that one of these has signed)
 * See:   https_server: listening on https://127.0.0.1:8443/
 *        and with `curl --cacert authority.crt https://localhost:8443/...` a file
 *
 * Left out, to stay small: lists of folders, more than one range. A symbolic link is followed wherever it leads. */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tn.h>
#include <tn/tls.h>
#include <unistd.h>
#include <zlib.h>

#include "access_log.h"
#include "file_cache.h"
#include "server.h"
#include "web.h"

enum { PIECE = 16000, PATH_SIZE = WEB_TARGET_MAX + 16, HANDSHAKE_S = 10, REQUEST_S = 20, PIECE_S = 20, CHUNK_HEAD = 16 };

typedef struct app {
    tn_tls_context *tls;
    tn_tls_context_options options;
    access_log log;
    file_cache files;
} app;

typedef struct response {
    web_conn *conn;
    const web_request *request;
    unsigned status;
    uint64_t sent; /* bytes of the body */
} response;

/* --- Files ----------------------------------------------------------------------------------------------------------------- */

static int hex(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10 : -1;
}

/* Sets `path` to the file that the target names, relative to the folder. Returns false if no file may have that name. */
static bool find_path(const char *target, char *path)
{
    size_t size = 0;

    if (*target++ != '/')
        return false;
    for (; *target != '\0' && *target != '?'; target++) {
        char c = *target;
        if (c == '%') {
            if (hex(target[1]) < 0 || hex(target[2]) < 0)
                return false;
            c = (char)(hex(target[1]) << 4 | hex(target[2]));
            target += 2;
        }
        if (c == '\0')
            return false;
        path[size++] = c;
    }
    path[size] = '\0';
    if (path[0] == '/' || strncmp(path, "../", 3) == 0 || strstr(path, "/../") != NULL || strcmp(path, "..") == 0 ||
        (size >= 3 && strcmp(path + size - 3, "/..") == 0))
        return false; /* outside of the folder */
    if (size == 0 || path[size - 1] == '/')
        memcpy(path + size, "index.html", sizeof "index.html");
    return true;
}

static bool is_text(const char *type)
{
    return strncmp(type, "text/", 5) == 0 || strcmp(type, "application/json") == 0 || strcmp(type, "image/svg+xml") == 0;
}

/* --- Parts ----------------------------------------------------------------------------------------------------------------- */

typedef enum { WHOLE, PART, NO_PART } range_kind;

/* Parses "bytes=FIRST-LAST", "bytes=FIRST-", "bytes=-COUNT". Any other text is not a range. */
static range_kind find_range(const char *text, uint64_t size, uint64_t *first, uint64_t *count)
{
    uint64_t from = 0;
    uint64_t to = UINT64_MAX;
    bool has_from;
    bool has_to;

    *first = 0;
    *count = size;
    if (strncmp(text, "bytes=", 6) != 0)
        return WHOLE;
    text += 6;
    has_from = web_number(&text, &from);
    if (*text++ != '-')
        return WHOLE;
    has_to = web_number(&text, &to);
    if (*text != '\0' || (!has_from && !has_to) || (has_from && to < from))
        return WHOLE;
    if (!has_from) {
        *count = to < size ? to : size;
        *first = size - *count;
        return *count > 0 ? PART : NO_PART;
    }
    if (from >= size)
        return NO_PART;
    *first = from;
    *count = (to < size ? to + 1 : size) - from;
    return PART;
}

/* --- Responses ------------------------------------------------------------------------------------------------------------- */

static int respond_short(response *self, unsigned status, const char *line, const char *more)
{
    self->status = status;
    return web_respond(self->conn, self->request, line, more, NULL, 0);
}

/* Sends a piece. A client that reads nothing for so long is left. */
static int send_piece(response *self, struct iovec *iov, int count)
{
    TN_SCOPE(scope, tn_now() + PIECE_S * TN_S);

    return tn_io_writev_all(self->conn->io, iov, count);
}

/* Sends the head and `count` bytes of the file. The first piece goes with the head. */
static int send_part(response *self, tn_file *file, const char *head, uint64_t first, uint64_t count)
{
    struct iovec iov[2] = {{(void *)(uintptr_t)head, strlen(head)}, {NULL, 0}};
    char *piece = malloc(count < PIECE ? (size_t)count + 1 : PIECE);
    int rc = piece != NULL ? 0 : TN_ENOMEM;

    do {
        ssize_t n = 0;
        if (rc == 0 && count > 0)
            n = tn_file_pread(file, piece, count < PIECE ? (size_t)count : PIECE, (int64_t)first);
        if (rc == 0 && (n < 0 || (n == 0 && count > 0)))
            rc = n < 0 ? (int)n : TN_ECONNRESET; /* it has become shorter: only closing remains */
        if (rc != 0)
            break;
        iov[1] = (struct iovec){piece, (size_t)n};
        rc = send_piece(self, iov, 2);
        iov[0].iov_len = 0;
        first += (uint64_t)n;
        count -= (uint64_t)n;
        self->sent += (uint64_t)n;
    } while (rc == 0 && count > 0);
    free(piece);
    return rc;
}

/* Sends what the stream has made, as a chunk. */
static int send_chunk(response *self, const char *head, const char *data, size_t size)
{
    char number[CHUNK_HEAD];
    int length = size > 0 ? snprintf(number, sizeof number, "%zx\r\n", size) : 0;
    struct iovec iov[4] = {{(void *)(uintptr_t)head, strlen(head)},
                           {number, (size_t)length},
                           {(void *)(uintptr_t)data, size},
                           {(void *)(uintptr_t) "\r\n", size > 0 ? 2 : 0}};

    self->sent += size;
    return send_piece(self, iov, 4);
}

static int compress_pieces(response *self, tn_file *file, const char *head, z_stream *stream, char *in, char *out)
{
    int64_t offset = 0;
    int rc = 0;
    int done = Z_OK;

    while (rc == 0 && done != Z_STREAM_END) {
        ssize_t n = stream->avail_in == 0 ? tn_file_pread(file, in, PIECE, offset) : 1;
        if (n < 0)
            return (int)n;
        if (stream->avail_in == 0) {
            stream->next_in = (Bytef *)in;
            stream->avail_in = (uInt)n;
            offset += n;
        }
        stream->next_out = (Bytef *)out;
        stream->avail_out = PIECE;
        done = deflate(stream, n == 0 ? Z_FINISH : Z_NO_FLUSH);
        if (stream->avail_out < PIECE) {
            rc = send_chunk(self, head, out, PIECE - stream->avail_out);
            head = "";
        }
    }
    return rc != 0 ? rc : tn_io_write_all(self->conn->io, "0\r\n\r\n", 5);
}

static int send_compressed(response *self, tn_file *file, const char *head)
{
    z_stream stream = {.zalloc = Z_NULL};
    char *buffers = malloc((size_t)2 * PIECE);
    int rc = TN_ENOMEM;

    if (buffers != NULL && deflateInit2(&stream, 5, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK) { /* + 16: gzip */
        rc = compress_pieces(self, file, head, &stream, buffers, buffers + PIECE);
        (void)deflateEnd(&stream);
    }
    free(buffers);
    return rc;
}

/* The head of a response with a part of a file, or with a file in chunks. */
static void make_head(char *head, size_t size, const web_file *file, range_kind kind, uint64_t first, uint64_t count)
{
    int used = snprintf(head, size,
                        "HTTP/1.1 %s\r\nContent-Type: %s\r\nLast-Modified: %s\r\nVary: Accept-Encoding\r\n"
                        "Accept-Ranges: bytes\r\n",
                        kind == PART ? "206 Partial Content" : "200 OK", file->type, file->date);

    if (kind == PART)
        (void)snprintf(head + used, size - (size_t)used,
                       "ETag: \"%s\"\r\nContent-Range: bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64 "\r\nContent-Length: %" PRIu64
                       "\r\n",
                       file->tag, first, first + count - 1, file->size_bytes, count);
    else
        (void)snprintf(head + used, size - (size_t)used,
                       "ETag: \"%s-gz\"\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n", file->tag);
}

/* Whether the client has these contents already. Their tag has "-gz" if they are compressed. */
static bool is_known(const web_request *request, const web_file *file, bool compress)
{
    char tag[sizeof file->tag + 8];

    if (request->if_none_match[0] == '\0')
        return strcmp(request->if_modified_since, file->date) == 0;
    (void)snprintf(tag, sizeof tag, "\"%s%s\"", file->tag, compress ? "-gz" : "");
    return strcmp(request->if_none_match, tag) == 0;
}

static int respond_file(response *self, const web_file *file)
{
    const web_request *request = self->request;
    char head[512];
    const char *end;
    uint64_t first;
    uint64_t count;
    range_kind kind = find_range(request->range, file->size_bytes, &first, &count);
    bool compress = kind == WHOLE && request->accepts_gzip && is_text(file->type) && file->size_bytes > 1024;

    if (is_known(request, file, compress)) {
        (void)snprintf(head, sizeof head, "ETag: \"%s%s\"\r\nLast-Modified: %s\r\nVary: Accept-Encoding\r\n", file->tag,
                       compress ? "-gz" : "", file->date);
        return respond_short(self, 304, "304 Not Modified", head);
    }
    if (kind == NO_PART) {
        (void)snprintf(head, sizeof head, "Content-Range: bytes */%" PRIu64 "\r\n", file->size_bytes);
        return respond_short(self, 416, "416 Range Not Satisfiable", head);
    }
    self->status = kind == PART ? 206 : 200;
    if (kind == WHOLE && !compress)
        memcpy(head, file->head, sizeof file->head); /* what most clients ask for */
    else
        make_head(head, sizeof head - 32, file, kind, first, count);
    end = request->keep_alive ? "\r\n" : "Connection: close\r\n\r\n";
    memcpy(head + strlen(head), end, strlen(end) + 1);
    if (request->method == HTTP_HEAD)
        return tn_io_write_all(self->conn->io, head, strlen(head));
    return compress ? send_compressed(self, file->file, head) : send_part(self, file->file, head, first, count);
}

static int respond(app *server, response *self)
{
    const web_request *request = self->request;
    char path[PATH_SIZE];
    char text[32];
    web_file file;
    int rc;

    if (request->too_long)
        return respond_short(self, 413, "413 Content Too Large", "");
    if (request->method == HTTP_POST && strcmp(request->target, "/length") == 0) {
        int length = snprintf(text, sizeof text, "%zu\n", request->body_size);
        self->status = 200;
        self->sent = (uint64_t)length;
        return web_respond(self->conn, request, "200 OK", "Content-Type: text/plain\r\n", text, (size_t)length);
    }
    if (request->method != HTTP_GET && request->method != HTTP_HEAD)
        return respond_short(self, 405, "405 Method Not Allowed", "Allow: GET, HEAD\r\n");
    if (!find_path(request->target, path) || file_cache_open(&server->files, path, &file) != 0)
        return respond_short(self, 404, "404 Not Found", "");
    rc = respond_file(self, &file);
    tn_file_close(file.file);
    return rc;
}

/* --- Connections ----------------------------------------------------------------------------------------------------------- */

static void log_request(app *self, const char *peer, const response *made, uint64_t began_ns)
{
    char line[WEB_TARGET_MAX + 160];
    uint64_t tenths = (tn_now() - began_ns) / (TN_MS / 10);
    int size = snprintf(line, sizeof line, "%s \"%s %s\" %u %" PRIu64 " %" PRIu64 ".%u ms\n", peer,
                        http_method_str((enum http_method)made->request->method), made->request->target, made->status, made->sent,
                        tenths / 10, (unsigned)(tenths % 10));

    access_log_add(&self->log, line, (size_t)size);
}

static int read_request(web_conn *conn, web_request *request)
{
    TN_SCOPE(scope, tn_now() + REQUEST_S * TN_S);

    return web_read(conn, request);
}

static bool serve_one(app *self, tn_session *session, web_conn *conn, const char *peer)
{
    web_request request;
    response made = {.conn = conn, .request = &request};
    uint64_t began_ns;
    int rc = read_request(conn, &request);

    began_ns = tn_now();
    if (rc == TN_EBADMSG && HTTP_PARSER_ERRNO(&conn->parser) != HPE_OK)
        (void)respond_short(&made, 400, "400 Bad Request", "");
    if (rc == 1) {
        request.keep_alive = request.keep_alive && !request.too_long && !tn_session_is_ending(session);
        rc = respond(self, &made);
        log_request(self, peer, &made, began_ns);
        rc = rc == 0 && request.keep_alive ? 1 : 0;
    }
    web_request_fini(&request);
    return rc == 1;
}

/* Bytes that TLS or the parser has already count as a request: then there is nothing to wait for below. */
static bool wait_request(tn_session *session, tn_tls *tls, const web_conn *conn)
{
    return web_has_input(conn) || tn_tls_has_input(tls) || tn_session_wait_request(session) == 0;
}

static int handshake(tn_tls *tls)
{
    TN_SCOPE(scope, tn_now() + HANDSHAKE_S * TN_S);

    return tn_tls_handshake(tls);
}

/* The requests of a connection. Not inlined: otherwise a client that only begins a handshake would have their stack too. */
static __attribute__((noinline)) void serve_requests(app *self, tn_session *session, tn_tls *tls, const char *peer)
{
    web_conn conn;

    web_init(&conn, tn_tls_io(tls));
    while (wait_request(session, tls, &conn) && serve_one(self, session, &conn, peer))
        ;
}

static void handle(tn_session *session, tn_stream *stream, void *arg)
{
    app *self = arg;
    tn_tls_options options = tn_tls_options_default();
    char peer[TN_ADDRESS_SIZE] = "client";
    tn_tls_error error;
    tn_tls *tls;

    (void)tn_stream_peer_address(stream, peer, sizeof peer);
    options.peer = peer;
    options.keep_below = true; /* tn_serve closes the stream in order */
    if (tn_tls_open(&tls, self->tls, tn_stream_io(stream), &options) != 0)
        return;
    if (handshake(tls) == 0) {
        serve_requests(self, session, tls, peer);
        (void)tn_io_close_write(tn_tls_io(tls));
    } else {
        tn_tls_last_error(tls, &error);
        fprintf(stderr, "https_server: %s\n", error.text);
    }
    tn_io_close(tn_tls_io(tls));
}

/* --- The server ------------------------------------------------------------------------------------------------------------ */

static void reload_on_signal(app *self, tn_signal *signals)
{
    tn_tls_error error;

    while (tn_signal_wait(signals) > 0) {
        if (tn_tls_context_reload(self->tls, &error) == 0)
            fprintf(stderr, "https_server: certificates reloaded\n");
        else
            fprintf(stderr, "https_server: not reloaded: %s\n", error.text);
    }
}

/* Runs beside the sessions until it is cancelled. */
static void *beside(void *arg)
{
    static const int numbers[] = {SIGHUP};
    app *self = arg;
    tn_signal *signals;
    tn_group group;

    tn_group_enter(&group, NULL);
    (void)tn_group_spawn(&group, NULL, access_log_run, &self->log);
    if (tn_signal_open(&signals, NULL, numbers, 1) == 0) {
        reload_on_signal(self, signals);
        tn_signal_close(signals);
    }
    (void)tn_group_wait(&group);
    tn_group_leave(&group); /* the log writes the rest */
    return NULL;
}

/* Takes the options of TLS out of the command line. */
static int take_options(app *self, int argc, char **argv)
{
    static const char *const protocols[] = {"http/1.1", NULL};
    const char **texts[] = {&self->options.certificate, &self->options.key, &self->options.authorities};
    static const char *const names[] = {"--certificate", "--key", "--authorities"};
    int kept = 1;

    self->options = tn_tls_context_options_default();
    self->options.role = TN_TLS_SERVER;
    self->options.protocols = protocols;
    for (int i = 1; i < argc; i++) {
        size_t which = 0;
        while (which < 3 && strcmp(argv[i], names[which]) != 0)
            which++;
        if (which < 3 && i + 1 < argc)
            *texts[which] = argv[++i];
        else
            argv[kept++] = argv[i];
    }
    argv[kept] = NULL;
    if (self->options.authorities != NULL)
        self->options.verify = TN_TLS_VERIFY_REQUIRED;
    return kept;
}

int main(int argc, char **argv)
{
    static app self;
    server_options options = {
        .name = "https_server",
        .summary = "serves the files of the folder in which it is started, over HTTPS",
        .port = 8443,
        .beside = beside,
        .beside_arg = &self,
    };
    tn_tls_error error;
    int status;

    argc = take_options(&self, argc, argv);
    if (self.options.certificate == NULL) {
        server_options_parse(&options, argc, argv); /* --help ends here */
        fprintf(stderr, "https_server: give --certificate FILE and --key FILE\n");
        return 2;
    }
    if (tn_tls_context_open(&self.tls, &self.options, &error) != 0) {
        fprintf(stderr, "https_server: %s\n", error.text);
        return 1;
    }
    access_log_init(&self.log, STDOUT_FILENO);
    file_cache_init(&self.files);
    status = server_main(&options, argc, argv, "https://", handle, &self);
    file_cache_fini(&self.files);
    access_log_fini(&self.log);
    tn_tls_context_release(self.tls);
    return status;
}
