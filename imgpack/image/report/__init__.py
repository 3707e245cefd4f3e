"""An image as one page for people: what it holds as data, and the page that draws it."""
