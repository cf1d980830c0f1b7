//go:build stack

// What services with Gin have in production, as one writes it by hand: a request id, an access line by zerolog, a
// histogram for Prometheus, a context with a time limit, tokens by golang-jwt, a role, and a limit for each user by
// x/time/rate. With -cache valid tokens are remembered until they expire.
package main

import (
	"context"
	"flag"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/golang-jwt/jwt"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/rs/zerolog"
	"golang.org/x/time/rate"
)

var withCache = flag.Bool("cache", false, "remember valid tokens")

type claims struct {
	jwt.StandardClaims
	Roles []string `json:"roles"`
}

func setting(name string) string {
	value := os.Getenv(name)
	if value == "" {
		panic(name + " is not set")
	}
	return value
}

func number(name string) int {
	value, err := strconv.Atoi(setting(name))
	if err != nil {
		panic(err)
	}
	return value
}

func requestID(c *gin.Context) {
	id := c.GetHeader("X-Request-ID")
	if id == "" || len(id) > 64 {
		id = uuid.NewString()
	}
	c.Set("request_id", id)
	c.Header("X-Request-ID", id)
	c.Next()
}

func accessLine(logger zerolog.Logger) gin.HandlerFunc {
	return func(c *gin.Context) {
		began := time.Now()
		c.Next()
		logger.Info().
			Str("request_id", c.GetString("request_id")).
			Str("method", c.Request.Method).
			Str("route", c.FullPath()).
			Str("path", c.Request.URL.Path).
			Int("status", c.Writer.Status()).
			Float64("duration", time.Since(began).Seconds()).
			Str("client", c.RemoteIP()).
			Str("user_agent", c.Request.UserAgent()).
			Str("user", c.GetString("user")).
			Msg("request")
	}
}

func measured() gin.HandlerFunc {
	duration := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "http_server_request_duration_seconds",
		Help:    "How long calls take.",
		Buckets: []float64{0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10},
	}, []string{"method", "route", "status"})
	active := prometheus.NewGauge(prometheus.GaugeOpts{Name: "http_server_active_requests", Help: "Calls that run."})
	prometheus.MustRegister(duration, active)
	return func(c *gin.Context) {
		began := time.Now()
		active.Inc()
		c.Next()
		active.Dec()
		duration.
			WithLabelValues(c.Request.Method, c.FullPath(), strconv.Itoa(c.Writer.Status())).
			Observe(time.Since(began).Seconds())
	}
}

func deadline(limit time.Duration) gin.HandlerFunc {
	return func(c *gin.Context) {
		ctx, cancel := context.WithTimeout(c.Request.Context(), limit)
		defer cancel()
		c.Request = c.Request.WithContext(ctx)
		c.Next()
	}
}

// verifier checks tokens, and remembers the valid ones where it has a cache.
type verifier struct {
	secret           []byte
	issuer, audience string
	parser           *jwt.Parser
	most             int
	lock             sync.RWMutex
	known            map[string]*claims
}

func (v *verifier) key(*jwt.Token) (interface{}, error) { return v.secret, nil }

func (v *verifier) claims(token string) *claims {
	if v.most > 0 {
		v.lock.RLock()
		found := v.known[token]
		v.lock.RUnlock()
		if found != nil && time.Now().Unix() < found.ExpiresAt {
			return found
		}
	}
	found := &claims{}
	if _, err := v.parser.ParseWithClaims(token, found, v.key); err != nil {
		return nil
	}
	if !found.VerifyIssuer(v.issuer, true) || !found.VerifyAudience(v.audience, true) || found.ExpiresAt == 0 || found.Subject == "" {
		return nil
	}
	if v.most > 0 {
		v.lock.Lock()
		if len(v.known) >= v.most {
			for each := range v.known { // any one makes room
				delete(v.known, each)
				break
			}
		}
		v.known[token] = found
		v.lock.Unlock()
	}
	return found
}

func refuseWith(c *gin.Context, status int, why string) {
	c.AbortWithStatusJSON(status, gin.H{"title": why, "status": status})
}

func authenticate(v *verifier) gin.HandlerFunc {
	return func(c *gin.Context) {
		sent := c.GetHeader("Authorization")
		if !strings.HasPrefix(sent, "Bearer ") {
			c.Header("WWW-Authenticate", "Bearer")
			refuseWith(c, http.StatusUnauthorized, "no token")
			return
		}
		found := v.claims(sent[len("Bearer "):])
		if found == nil {
			c.Header("WWW-Authenticate", `Bearer error="invalid_token"`)
			refuseWith(c, http.StatusUnauthorized, "the token is not valid")
			return
		}
		c.Set("user", found.Subject)
		c.Set("roles", found.Roles)
		c.Next()
	}
}

func withRole(role string) gin.HandlerFunc {
	return func(c *gin.Context) {
		for _, each := range c.GetStringSlice("roles") {
			if each == role {
				c.Next()
				return
			}
		}
		refuseWith(c, http.StatusForbidden, "not for you")
	}
}

type visitor struct {
	limiter *rate.Limiter
	seen    time.Time
}

func limited(perSecond int) gin.HandlerFunc {
	var lock sync.Mutex
	visitors := map[string]*visitor{}
	go func() {
		for range time.Tick(time.Minute) {
			lock.Lock()
			for user, each := range visitors {
				if time.Since(each.seen) > 3*time.Minute {
					delete(visitors, user)
				}
			}
			lock.Unlock()
		}
	}()
	return func(c *gin.Context) {
		user := c.GetString("user")
		lock.Lock()
		each := visitors[user]
		if each == nil {
			each = &visitor{limiter: rate.NewLimiter(rate.Limit(perSecond), perSecond)}
			visitors[user] = each
		}
		each.seen = time.Now()
		lock.Unlock()
		if !each.limiter.Allow() {
			c.Header("Retry-After", "1")
			refuseWith(c, http.StatusTooManyRequests, "too many requests")
			return
		}
		c.Next()
	}
}

// guard stands in front of every route that is declared after it.
func guard(engine *gin.Engine) {
	engine.GET("/metrics", gin.WrapH(promhttp.Handler()))
	check := &verifier{
		secret:   []byte(setting("BENCH_SECRET")),
		issuer:   setting("BENCH_ISSUER"),
		audience: setting("BENCH_AUDIENCE"),
		parser:   jwt.NewParser(jwt.WithValidMethods([]string{"HS256"})),
		known:    map[string]*claims{},
	}
	if *withCache {
		check.most = number("BENCH_TOKEN_CACHE")
	}
	engine.Use(
		gin.Recovery(),
		requestID,
		accessLine(zerolog.New(os.Stderr).With().Timestamp().Logger()),
		measured(),
		deadline(time.Duration(number("BENCH_TIMEOUT"))*time.Second),
		authenticate(check),
		withRole(setting("BENCH_ROLE")),
		limited(number("BENCH_RATE")),
	)
}
