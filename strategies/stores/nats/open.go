package nats

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/understudy-go/understudy/internal/follow"
	"github.com/understudy-go/understudy/strategies"
)

// Where is the place of a store: get one from [Embedded], [URL] or [Conn].
type Where struct {
	dir     string
	url     string
	options []natsgo.Option
	conn    *natsgo.Conn
}

// Embedded is a folder, served in this process and without a port. It is made if it is
// not there. One process has it at a time.
func Embedded(dir string) Where { return Where{dir: dir} }

// URL is a cluster, by the addresses of some of its servers, separated by commas.
// Credentials, TLS and the like are the client's own options.
func URL(url string, options ...natsgo.Option) Where { return Where{url: url, options: options} }

// Conn is a connection that you have. It stays yours: Close leaves it open.
func Conn(conn *natsgo.Conn) Where { return Where{conn: conn} }

// Option changes what [Open] does.
type Option func(*settings)

type settings struct {
	bucket   string
	replicas int
	sync     time.Duration
}

// Bucket names the bucket. Default: "understudy". Programs with different names share
// nothing.
func Bucket(name string) Option { return func(s *settings) { s.bucket = name } }

// Replicas is on how many servers of the cluster the records are, 1 to 5: with 3, one
// may die. Default: as the bucket is, and 1 for a new one.
func Replicas(n int) Option { return func(s *settings) { s.replicas = n } }

// SyncEvery has an [Embedded] server sync the disk now and then, instead of before each
// Put returns: faster by far, and a loss of power loses as much. A crash of the process
// loses nothing either way.
func SyncEvery(d time.Duration) Option { return func(s *settings) { s.sync = d } }

var bucketName = regexp.MustCompile(`^[a-zA-Z0-9_-]+$`)

func (s settings) validate(at Where) error {
	var all []error
	add := func(setting, problem, fix string) {
		all = append(all, &strategies.ConfigError{Setting: setting, Problem: problem, Fix: fix})
	}
	if !bucketName.MatchString(s.bucket) {
		add("nats.Bucket", fmt.Sprintf("is %q", s.bucket), "use letters, digits, - and _")
	}
	if s.replicas < 0 || s.replicas > 5 {
		add("nats.Replicas", fmt.Sprintf("is %d", s.replicas), "use 1, 3 or 5")
	}
	if s.sync < 0 || s.sync > 0 && s.sync < time.Millisecond {
		add("nats.SyncEvery", fmt.Sprintf("is %v", s.sync), "use 1 ms or more")
	}
	if at.dir == "" && at.url == "" && at.conn == nil {
		add("nats.Where", "is nowhere", "use nats.Embedded with a folder, nats.URL or nats.Conn")
	}
	return errors.Join(all...)
}

// Open opens a store, and makes its bucket if it is not there. The context bounds the
// opening only.
func Open(ctx context.Context, at Where, options ...Option) (*Store, error) {
	set := settings{bucket: "understudy"}
	for _, o := range options {
		o(&set)
	}
	if err := set.validate(at); err != nil {
		return nil, err
	}
	s := &Store{base: follow.NewBase(), conn: at.conn, subject: "$KV." + set.bucket + "."}
	err := s.connect(ctx, at, set)
	if err == nil {
		err = s.makeBucket(ctx, set)
	}
	if err != nil {
		failed := s.base.Unavailable(ctx, "open", set.bucket, err)
		_ = s.Close()
		return nil, failed
	}
	return s, nil
}

func (s *Store) connect(ctx context.Context, at Where, set settings) (err error) {
	// Without a buffer: what cannot be sent fails at once, and is not done when nobody expects it any more.
	options := append([]natsgo.Option{natsgo.Name("understudy"), natsgo.MaxReconnects(-1), natsgo.ReconnectBufSize(-1)}, at.options...)
	switch {
	case at.conn != nil:
	case at.dir != "":
		if s.server, s.unlock, err = serve(ctx, at.dir, set); err != nil {
			return err
		}
		s.owns = true
		s.conn, err = natsgo.Connect("", append(options, natsgo.InProcessServer(s.server))...)
	default:
		if deadline, ok := ctx.Deadline(); ok {
			// It stands for later handshakes too, for which Close must wait.
			timeout := min(max(time.Until(deadline), time.Millisecond), patience)
			options = append([]natsgo.Option{natsgo.Timeout(timeout)}, options...)
		}
		s.owns = true
		s.conn, err = natsgo.Connect(at.url, options...)
	}
	if err != nil {
		return err
	}
	s.js, err = jetstream.New(s.conn)
	return err
}

// serve runs a server for a folder.
func serve(ctx context.Context, dir string, set settings) (*server.Server, func(), error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, nil, err
	}
	unlock, err := lock(filepath.Join(dir, "understudy.lock"))
	if err != nil {
		return nil, nil, fmt.Errorf("another process has the folder: %w", err)
	}
	srv, err := server.NewServer(&server.Options{
		ServerName: "understudy", DontListen: true, NoSigs: true, NoLog: true,
		JetStream: true, StoreDir: dir,
		SyncAlways: set.sync == 0, SyncInterval: set.sync,
		JetStreamMaxStore: 1 << 40, JetStreamMaxMemory: 64 << 20, // the disk is the limit
	})
	if err != nil {
		unlock()
		return nil, nil, err
	}
	srv.Start()
	patience := 30 * time.Second
	if deadline, ok := ctx.Deadline(); ok {
		patience = time.Until(deadline)
	}
	if !srv.ReadyForConnections(patience) {
		srv.Shutdown()
		srv.WaitForShutdown()
		unlock()
		return nil, nil, errors.New("the server in this process did not start")
	}
	return srv, unlock, nil
}

// makeBucket makes what a bucket of NATS is, but for reads from followers.
func (s *Store) makeBucket(ctx context.Context, set settings) error {
	want := jetstream.StreamConfig{
		Name:              "KV_" + set.bucket,
		Description:       "understudy: records that replicas share",
		Subjects:          []string{s.subject + ">"},
		MaxMsgsPerSubject: 1,
		MaxMsgs:           -1, MaxBytes: -1, MaxConsumers: -1, MaxMsgSize: -1,
		Discard:    jetstream.DiscardNew,
		DenyDelete: true, AllowRollup: true,
		AllowMsgTTL: true,
		Storage:     jetstream.FileStorage,
		Replicas:    max(set.replicas, 1),
		Duplicates:  2 * time.Minute,
	}
	for range 3 { // others may open it at the same time
		st, err := s.js.Stream(ctx, want.Name)
		if err == nil {
			return s.adopt(ctx, st, set)
		}
		if !errors.Is(err, jetstream.ErrStreamNotFound) {
			return err
		}
		if s.stream, err = s.js.CreateStream(ctx, want); err == nil {
			return capable(s.stream)
		} else if !errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
			return err
		}
	}
	return errors.New("the bucket comes and goes")
}

// adopt takes a bucket that is there.
func (s *Store) adopt(ctx context.Context, st jetstream.Stream, set settings) (err error) {
	config := st.CachedInfo().Config
	if !strings.HasPrefix(config.Description, "understudy: ") {
		return fmt.Errorf("the bucket %s is somebody else's", set.bucket)
	}
	if err := capable(st); err != nil {
		return err
	}
	if s.stream = st; set.replicas > 0 && set.replicas != config.Replicas {
		config.Replicas = set.replicas
		s.stream, err = s.js.UpdateStream(ctx, config)
	}
	return err
}

// capable says whether the server sweeps out what has expired. An older one passes over
// what it does not know of a bucket.
func capable(st jetstream.Stream) error {
	if !st.CachedInfo().Config.AllowMsgTTL {
		return errors.New("the server is older than 2.11 and keeps what has expired")
	}
	return nil
}
