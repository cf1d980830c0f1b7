// Go's net/http as its users write it: ServeMux, encoding/json, rules checked by hand.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"math"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"strings"
	"unicode/utf8"
)

const maxBody = 1 << 20 // bytes

type orderView struct {
	OrderID  int64   `json:"order_id"`
	Limit    int     `json:"limit"`
	Q        *string `json:"q"`
	Status   string  `json:"status"`
	Currency string  `json:"currency"`
	Total    float64 `json:"total"`
}

type line struct {
	SKU       string   `json:"sku"`
	Quantity  int      `json:"quantity"`
	UnitPrice *float64 `json:"unit_price"` // a pointer tells zero from missing
	Gift      bool     `json:"gift"`
}

type newOrder struct {
	CustomerID int64   `json:"customer_id"`
	Reference  string  `json:"reference"`
	Currency   string  `json:"currency"`
	Note       *string `json:"note"`
	Lines      []line  `json:"lines"`
}

type placedOrder struct {
	ID         int64   `json:"id"`
	CustomerID int64   `json:"customer_id"`
	Reference  string  `json:"reference"`
	Currency   string  `json:"currency"`
	Total      float64 `json:"total"`
	Lines      []line  `json:"lines"`
}

type item struct {
	Route  int   `json:"route"`
	ItemID int64 `json:"item_id"`
}

type problem struct {
	Title  string `json:"title"`
	Status int    `json:"status"`
}

func (o *newOrder) validate() error {
	if o.CustomerID <= 0 {
		return errors.New("customer_id: expected more than 0")
	}
	if n := utf8.RuneCountInString(o.Reference); n < 1 || n > 64 {
		return errors.New("reference: expected 1 to 64 characters")
	}
	if o.Currency != "EUR" && o.Currency != "USD" && o.Currency != "GBP" {
		return errors.New("currency: expected EUR, USD or GBP")
	}
	if o.Note != nil && utf8.RuneCountInString(*o.Note) > 200 {
		return errors.New("note: expected at most 200 characters")
	}
	if len(o.Lines) < 1 || len(o.Lines) > 50 {
		return errors.New("lines: expected 1 to 50")
	}
	for i := range o.Lines {
		l := &o.Lines[i]
		if n := utf8.RuneCountInString(l.SKU); n < 1 || n > 32 {
			return fmt.Errorf("lines[%d].sku: expected 1 to 32 characters", i)
		}
		if l.Quantity < 1 || l.Quantity > 999 {
			return fmt.Errorf("lines[%d].quantity: expected 1 to 999", i)
		}
		if l.UnitPrice == nil || *l.UnitPrice < 0 {
			return fmt.Errorf("lines[%d].unit_price: expected 0 or more", i)
		}
	}
	return nil
}

func answer(w http.ResponseWriter, status int, value any) {
	body, err := json.Marshal(value)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(body)
}

func refuse(w http.ResponseWriter, status int, title string) {
	answer(w, status, problem{title, status})
}

func readOrder(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet {
		refuse(w, http.StatusMethodNotAllowed, "method not allowed")
		return
	}
	id, err := strconv.ParseInt(strings.TrimPrefix(r.URL.Path, "/orders/"), 10, 64)
	if err != nil {
		refuse(w, http.StatusUnprocessableEntity, "order_id: expected an integer")
		return
	}
	limit := 10
	query := r.URL.Query()
	if text, given := query["limit"]; given {
		if limit, err = strconv.Atoi(text[0]); err != nil || limit < 1 || limit > 100 {
			refuse(w, http.StatusUnprocessableEntity, "limit: expected an integer from 1 to 100")
			return
		}
	}
	var q *string
	if text, given := query["q"]; given {
		q = &text[0]
	}
	answer(w, http.StatusOK, orderView{id, limit, q, "paid", "EUR", float64(id) * 1.25})
}

func createOrder(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		refuse(w, http.StatusMethodNotAllowed, "method not allowed")
		return
	}
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	decoder.DisallowUnknownFields()
	var order newOrder
	if err := decoder.Decode(&order); err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	if _, err := decoder.Token(); err != io.EOF {
		refuse(w, http.StatusBadRequest, "more than one JSON value")
		return
	}
	if err := order.validate(); err != nil {
		refuse(w, http.StatusUnprocessableEntity, err.Error())
		return
	}
	total := 0.0
	for i := range order.Lines {
		total += float64(order.Lines[i].Quantity) * *order.Lines[i].UnitPrice
	}
	answer(w, http.StatusCreated, placedOrder{
		ID:         order.CustomerID*1000 + int64(len(order.Lines)),
		CustomerID: order.CustomerID,
		Reference:  order.Reference,
		Currency:   order.Currency,
		Total:      math.Round(total*100) / 100,
		Lines:      order.Lines,
	})
}

func readItem(route int, prefix string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		id, err := strconv.ParseInt(strings.TrimPrefix(r.URL.Path, prefix), 10, 64)
		if err != nil {
			refuse(w, http.StatusUnprocessableEntity, "item_id: expected an integer")
			return
		}
		answer(w, http.StatusOK, item{route, id})
	}
}

func main() {
	address := flag.String("address", "127.0.0.1:8080", "host:port to listen on")
	versions := flag.Bool("versions", false, "print the versions and stop")
	flag.Parse()
	if *versions {
		fmt.Println(runtime.Version())
		return
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/orders/", readOrder)
	mux.HandleFunc("/orders", createOrder)
	routes, _ := strconv.Atoi(os.Getenv("BENCH_ROUTES"))
	for n := 0; n < routes; n++ {
		prefix := fmt.Sprintf("/r%d/items/", n)
		mux.HandleFunc(prefix, readItem(n, prefix))
	}
	log.Fatal(http.ListenAndServe(*address, mux))
}
