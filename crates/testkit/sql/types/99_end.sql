RESET search_path;
RESET TimeZone;
RESET DateStyle;
RESET IntervalStyle;
