// Gin as its documentation teaches it: release mode, no logger, binding tags for the body, encoding/json.
// Path and query are taken with Param and GetQuery, which is quicker than binding them to structs by reflection; with
// -bind they are bound to structs with tags, as the body is: the declared, validated form that the other frameworks use.
package main

import (
	"errors"
	"flag"
	"fmt"
	"log"
	"math"
	"net/http"
	"os"
	"strconv"

	"github.com/gin-gonic/gin"
	"github.com/gin-gonic/gin/binding"
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
	SKU       string   `json:"sku" binding:"required,max=32"`
	Quantity  int      `json:"quantity" binding:"required,min=1,max=999"`
	UnitPrice *float64 `json:"unit_price" binding:"required,gte=0"` // a pointer tells zero from missing
	Gift      bool     `json:"gift"`
}

type newOrder struct {
	CustomerID int64   `json:"customer_id" binding:"required,gt=0"`
	Reference  string  `json:"reference" binding:"required,max=64"`
	Currency   string  `json:"currency" binding:"required,oneof=EUR USD GBP"`
	Note       *string `json:"note" binding:"omitempty,max=200"`
	Lines      []line  `json:"lines" binding:"required,min=1,max=50,dive"`
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

func refuse(c *gin.Context, err error) {
	c.JSON(http.StatusUnprocessableEntity, gin.H{"title": err.Error(), "status": http.StatusUnprocessableEntity})
}

func readOrder(c *gin.Context) {
	id, err := strconv.ParseInt(c.Param("order_id"), 10, 64)
	if err != nil {
		refuse(c, err)
		return
	}
	limit, err := strconv.Atoi(c.DefaultQuery("limit", "10"))
	if err != nil {
		refuse(c, err)
		return
	}
	if limit < 1 || limit > 100 {
		refuse(c, errors.New("limit: expected 1 to 100"))
		return
	}
	var q *string
	if text, given := c.GetQuery("q"); given {
		q = &text
	}
	c.JSON(http.StatusOK, orderView{id, limit, q, "paid", "EUR", float64(id) * 1.25})
}

type orderPath struct {
	OrderID int64 `uri:"order_id"`
}

type orderQuery struct {
	Limit int     `form:"limit,default=10" binding:"min=1,max=100"`
	Q     *string `form:"q"`
}

func bindOrder(c *gin.Context) {
	var path orderPath
	if err := c.ShouldBindUri(&path); err != nil {
		refuse(c, err)
		return
	}
	var query orderQuery
	if err := c.ShouldBindQuery(&query); err != nil {
		refuse(c, err)
		return
	}
	c.JSON(http.StatusOK, orderView{path.OrderID, query.Limit, query.Q, "paid", "EUR", float64(path.OrderID) * 1.25})
}

func createOrder(c *gin.Context) {
	c.Request.Body = http.MaxBytesReader(c.Writer, c.Request.Body, maxBody)
	var order newOrder
	if err := c.ShouldBindJSON(&order); err != nil {
		refuse(c, err)
		return
	}
	total := 0.0
	for i := range order.Lines {
		total += float64(order.Lines[i].Quantity) * *order.Lines[i].UnitPrice
	}
	c.JSON(http.StatusCreated, placedOrder{
		ID:         order.CustomerID*1000 + int64(len(order.Lines)),
		CustomerID: order.CustomerID,
		Reference:  order.Reference,
		Currency:   order.Currency,
		Total:      math.Round(total*100) / 100,
		Lines:      order.Lines,
	})
}

func readItem(route int) gin.HandlerFunc {
	return func(c *gin.Context) {
		id, err := strconv.ParseInt(c.Param("item_id"), 10, 64)
		if err != nil {
			refuse(c, err)
			return
		}
		c.JSON(http.StatusOK, item{route, id})
	}
}

func main() {
	address := flag.String("address", "127.0.0.1:8080", "host:port to listen on")
	bind := flag.Bool("bind", false, "bind path and query to structs")
	versions := flag.Bool("versions", false, "print the versions and stop")
	flag.Parse()
	if *versions {
		fmt.Println(gin.Version)
		return
	}
	gin.SetMode(gin.ReleaseMode)
	binding.EnableDecoderDisallowUnknownFields = true
	engine := gin.New()
	guard(engine) // nothing, or the production stack: see plain.go and stack.go
	if *bind {
		engine.GET("/orders/:order_id", bindOrder)
	} else {
		engine.GET("/orders/:order_id", readOrder)
	}
	engine.POST("/orders", createOrder)
	routes, _ := strconv.Atoi(os.Getenv("BENCH_ROUTES"))
	for n := 0; n < routes; n++ {
		engine.GET(fmt.Sprintf("/r%d/items/:item_id", n), readItem(n))
	}
	log.Fatal(engine.Run(*address))
}
